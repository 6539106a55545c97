#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/redis/client.h"
#include "store/redis/record.h"
#include "store/store.h"

namespace cachify::store::redis {

// A holder of a lock, for the question whether it is an ancestor of the caller.
struct LockHolder {
  std::string id;
  bool shared = false;
  Who who;
  uint64_t pid_namespace = 0;
};

// Where we stand in the queue, as the books said when we joined it; empty before.
struct Place {
  std::string order;
  std::string epoch;
};

// What take says.
struct TakeAnswer {
  enum class Kind {
    ok,
    wait,
    full,
    queue_full,
    data_lost,
    shed,
    closed,
    dismissed,
    no_cap,
    too_heavy
  };
  Kind kind = Kind::full;
  int64_t cap = 0;
  std::string epoch;  // ok, wait
  // ok
  uint64_t fence = 0;
  int64_t slot = 0;
  std::string record;
  // wait
  std::string order;
  int64_t rank = 0;
  std::optional<util::Duration> first_end;  // from now until there may be room unannounced
  int64_t server_now_us = 0;

  // wait, full, queue_full: others who wait stand in the way, not the slots in use.
  bool behind = false;
  // full, queue_full: in the books as rejected. Not where the dead may be in the way: who then does
  // not ask again counts it itself, by free().
  bool counted = true;
  std::vector<std::string> pending;
  std::vector<LockHolder> holders;  // lock, not ok: those without an end
};

// What whoever made room tells a waiter. It holds from then on for `lease`, or as long as it has
// asked for with keep.
struct PushedGrant {
  int64_t at_us = 0;  // by the server's clock
  util::Duration lease{0};
  std::string epoch;
  uint64_t fence = 0;
  int64_t slot = 0;
  int64_t cap = 0;
  std::string record;
};

struct KeepAnswer {
  enum class Kind { kept, again, lost, ended };
  Kind kind = Kind::kept;
  std::string epoch;
  std::string mark;
};

// One key at one instant, and when that changes without anybody's doing.
struct Picture {
  Situation situation;
  std::optional<util::Duration> next_end;  // from now: a lease, or a waiter not heard of
};

// What somebody has decided about a holder in its absence, as it stands in the books; see
// scripts/common.lua.
struct Mark {
  bool given_back = false;
  bool end_command = false;
  std::optional<util::Duration> kill_after;  // end_command: where who decided says so
};
Mark parse_mark(const std::string& text);
std::string text_of(const Mark& mark);

// The books that the server keeps for one pool or lock: the scripts (see scripts/) as calls. Each
// is one request of the client that is given and throws what that throws.
class Books {
 public:
  Books(const std::string& prefix, Kind kind, const std::string& key)
      : keys_(prefix, kind, key), kind_(kind) {}

  const Keys& keys() const noexcept { return keys_; }

  // With `listen`, BLPOP on the caller's lists is sent right behind; it blocks when the answer is
  // `wait`, its answer has come already after all others.
  TakeAnswer take(Client& client, const Claim& claim, const std::string& id, const Place& place,
                  util::Duration lease, bool wait, bool listen, const Limit& limit) const;
  // BLPOP on the lists of one who waits, and what its answer tells; nullopt: only that it has to
  // ask.
  Command listening(const std::string& id) const;
  std::optional<PushedGrant> pushed_grant(const Reply& woken, const std::string& id) const;
  void send_keep(Client& client, const std::string& id, const std::string& epoch,
                 util::Duration lease, const std::string& record, const Limit& limit) const;
  static KeepAnswer keep_answer(const Reply& reply);
  // The grants that followed from it and that nobody has confirmed yet. `why` is the counter of
  // those who leave the queue so: "timed_out" or ""; "rejected" also counts who never was in it.
  std::vector<std::string> free(Client& client, const std::string& id, const Limit& limit,
                                const char* why = "") const;
  std::vector<std::string> free_arguments(const std::string& id, const char* why = "") const;
  // Takes back those of the grants that went to the dead, and those that follow; also the places of
  // the dead that were probed. How many.
  int64_t settle(Client& client, std::vector<std::string> pending, const Limit& limit) const;
  int64_t size(Client& client, const Limit& limit) const;
  // With a watcher's id: pushes to its list when something changes afterwards, for a minute.
  Picture look(Client& client, const Limit& limit, const std::string& watcher = {}) const;

  // Takes those out of the queue who are dead, of those who wait in a picture: whose connection is
  // not in the server's list of clients, and who do not wake. One round trip when all are alive.
  // How many.
  int64_t bury_dead(Client& client, const Situation& situation, const Limit& limit) const;
  // The same picture without them.
  Picture look_closely(Client& client, const Limit& limit, const std::string& watcher = {}) const;

  // Steering; see store.h. What follows from it is done, too.
  void set(Client& client, const char* name, const std::string& value, const Limit& limit) const;
  int64_t dismiss(Client& client, const Limit& limit) const;
  // All holders where there is no id. Those who were marked.
  std::vector<std::string> end(Client& client, const std::optional<std::string>& id,
                               const Mark& mark, const Limit& limit) const;

  // The catalogue of a resource; `settle`: for who is going to change it. change() is false when
  // somebody else was faster since that version; it may be repeated with its token, which is to be
  // drawn for each change.
  struct Catalogue {
    CatalogueView view;
    std::string version;
  };
  Catalogue catalogue(Client& client, bool settle, const Limit& limit) const;
  bool change(Client& client, const std::string& version, const std::string& token,
              const CatalogueChange& change, const Limit& limit) const;

  // Shows a map that is under way for the next 15 s. `since`: what the last answer said, empty
  // before, when it began `age` ago.
  void send_map(Client& client, const std::string& id, const std::string& since, util::Duration age,
                const MapFigures& figures, const Who& who, const Limit& limit) const;
  struct MapAnswer {
    std::string since;
    std::string settings;  // cap and closing, for comparison with the next
    int64_t waiting = 0;   // in the queue
  };
  static MapAnswer map_answer(const Reply& reply);
  void forget_map(Client& client, const std::string& id, const Limit& limit) const;

  // For a pipeline of them; the answer of each.
  Command summary_command(bool in_full) const;
  static KeySummary summary(const Reply& reply);

 private:
  // What `read` makes of an answer.
  template <class Read>
  auto reading(Read read) const {
    try {
      return read();
    } catch (const DamagedRecord&) {
      damaged();
    }
  }
  [[noreturn]] void damaged() const;

  Keys keys_;
  Kind kind_;
};

}  // namespace cachify::store::redis

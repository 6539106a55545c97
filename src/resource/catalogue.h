#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "resource/definition.h"
#include "store/store.h"

// Which resources there are and who has them. Rules only: no clock, no store, no process. See
// README.md for what has to stay true.
namespace cachify::resource {

enum class Phase {
  ready,       // lent to `holder`, or free
  creating,    // its command runs, or has run and nobody has looked yet
  destroying,  // to be destroyed by who does `work`; with none, by the next one
  broken,      // could not be destroyed; counts no more, and is tried again by remove and stop
};
enum class Health { unknown, good, failed };

// Somebody's command on a resource, known by a file that is locked as long as it goes on.
struct Work {
  std::string place;  // where the file can be looked at
  std::string file;
  int64_t until_us = 0;  // when it must have ended
};
enum class Progress {
  busy,
  over,     // its file is nobody's any more
  overdue,  // nobody can tell, and it should have ended long ago
};

// What a create has left behind.
struct Made {
  enum class Result { nothing, made, failed };
  Result result = Result::nothing;
  std::string handle;  // also of a failed one that had printed it
};

// Looks after pieces of work: Workshop, or a fake.
class Works {
 public:
  virtual ~Works() = default;
  // A piece of work of this process, which goes on from now.
  virtual Work begin(int64_t until_us) = 0;
  virtual Progress progress(const Work& work, int64_t now_us) = 0;
  virtual Made made(const Work& work) = 0;
};

struct Item {
  uint64_t number = 0;  // never repeats within a catalogue
  std::string handle;   // empty while it is made
  Phase phase = Phase::ready;
  Health health = Health::unknown;
  bool going = false;    // marked by remove or stop: goes when it comes back
  bool overdue = false;  // creating, and nobody can tell what became of it
  std::string holder;    // who has it (ready), or is to get it (creating)
  std::optional<Work> work;
  int64_t made_us = 0;     // wall clock of the store
  int64_t checked_us = 0;  // 0: never
  int64_t uses = 0;
};

// What is known at the moment of a change.
struct Facts {
  int64_t now_us = 0;
  std::vector<store::LiveHolder> live;  // all who hold a slot of the key
  int64_t waiting = 0;
  int64_t work_us = 0;  // how long a piece of work may take
  Works* works = nullptr;

  bool lives(const std::string& id) const noexcept;
};

// What a holder has to do next to get one more.
struct Step {
  enum class Kind {
    lend,     // `item` is the caller's: check it, if there is a check
    create,   // make `item`
    destroy,  // destroy `item`, then ask again
    wait,     // others are at work on the ones that are missing
    stuck,    // too many could not be destroyed
    stopped,  // all of them go
    nothing,  // there is none left to try
  };
  Kind kind = Kind::nothing;
  Item item;
};

class Catalogue {
 public:
  // From and to what the store keeps. Throws StoreError for a text that makes no sense.
  static Catalogue from_text(const std::string& text, const std::string& key);
  std::string to_text() const;  // empty: there is nothing to keep

  Definition definition;
  bool defined = false;
  bool stopping = false;
  int64_t begun_us = 0;  // tells it from one that was lost
  uint64_t next_number = 1;
  int64_t made = 0;
  int64_t destroyed = 0;
  std::vector<Item> items;

  // Takes note of what became of the dead: what they had is free, what they were making is
  // adopted, what they were destroying is left to the next one. First of all, in each change.
  // Returns the pieces of work whose files are of no use any more.
  std::vector<Work> settle(const Facts& facts);

  enum class Agreement {
    agreed,
    undefined,       // nobody has ever said where resources come from
    differs,         // from what others use right now
    made_otherwise,  // from how the existing ones were made
  };
  // Agrees on `wanted` (nullopt: on what stands here), or takes it over when nobody minds.
  Agreement agree(const std::optional<Definition>& wanted, const Facts& facts);

  int64_t cap() const noexcept;   // how many slots the admission may give
  int64_t most() const noexcept;  // how many one caller can ask for
  bool closed() const noexcept;   // newcomers are refused

  Step next(const std::string& me, const std::set<uint64_t>& tried, const Facts& facts);
  // Each ends one step. False: that handle is in the list already, and the item is gone.
  bool finish_create(uint64_t number, const Made& outcome, const Facts& facts);
  // Not healthy: true when it is to be destroyed first, as a piece of work of the caller.
  bool finish_check(uint64_t number, bool healthy, const Facts& facts);
  void finish_destroy(uint64_t number, bool succeeded);

  // `me` gives back all it has. Those that are to be destroyed by it.
  std::vector<Item> give_back(const std::string& me, const Facts& facts);
  // What the caller has to do besides: destroy leftovers and, with `spares`, make what is missing
  // to the minimum.
  std::vector<Item> errands(bool spares, const Facts& facts);
  bool has_errands() const noexcept;
  // The store has lost the catalogue, and this one was begun since: puts made ones back, which one
  // of the holders from before has had.
  void restore(const Definition& agreed, const std::vector<std::string>& handles,
               const Facts& facts);

  enum class Removal { none, gone, marked, to_destroy };
  Removal remove(const std::string& handle, const Facts& facts, std::vector<Item>& to_destroy);
  enum class Addition { added, there, full };
  Addition add(const std::string& handle, const Facts& facts);
  // Marks all. How many are in use or at work elsewhere, and go later.
  int64_t stop(const Facts& facts, std::vector<Item>& to_destroy);

  Item* find(uint64_t number) noexcept;
  Item* find(const std::string& handle) noexcept;

 private:
  void define(const Definition& wanted, const Facts& facts);
  bool idle(const Facts& facts) const;
  bool has(const std::string& handle, uint64_t but) const noexcept;
  int64_t occupied() const noexcept;
  int64_t broken() const noexcept;
  int64_t missing() const noexcept;
  bool too_old(const Item& item, const Facts& facts) const noexcept;
  Item& append(std::string handle, const Facts& facts);
  Item& append_creating(const std::string& holder, const Facts& facts);
  bool dispose(uint64_t number);
  const Item& take_on(uint64_t number, const Facts& facts);
  void adopt(Item& item, const Made& outcome, const Facts& facts);
  void drop(uint64_t number);
  std::vector<uint64_t> numbers() const;
};

}  // namespace cachify::resource

#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "map/crowd.h"
#include "map/request.h"
#include "store/store.h"
#include "util/time.h"

namespace cachify::map {

// A slot of the pool that this process holds.
struct Slot {
  std::unique_ptr<store::Lease> lease;
  util::Duration waited{};  // for it
  bool used = false;        // a run has started in it
  bool busy = false;        // a run is going on in it
  bool spent = false;       // the next item must not have it: lost, taken, or it has an end
  bool gives_way = false;   // spent, and the crowd knows that it goes back
  bool watched = false;     // its lease ticks
  util::MonotonicTime idle_since;
};

// The slots of a map, from their admission until they are given back, and what is known of others.
class Slots {
 public:
  Slots(store::Store& store, const store::Claim& claim);
  // What tells when there is something to look at; nullptr: nothing does. Must outlive the calls.
  void listen_to(store::MapRecord* record) { record_ = record; }
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  Slot& add(store::Acquisition acquisition);
  int64_t held() const { return static_cast<int64_t>(slots_.size()); }
  Slot* idle();  // one that the next item can have; nullptr: none
  const std::vector<std::unique_ptr<Slot>>& all() const { return slots_; }

  // Gives it back; a store that cannot be told changes nothing for us.
  void give_back(Slot& slot);

  // Calls tick() where it is due (all of them when `poked`) and tells what became of slots.
  struct Change {
    Slot* slot;
    store::Lease::State state;
  };
  std::vector<Change> tick(bool poked);
  // When tick() wants to be called, and the descriptors that want it when they become readable.
  std::optional<util::MonotonicTime> next_tick() const;
  void add_descriptors(std::vector<pollfd>& to) const;
  // The same for who cannot watch the descriptors.
  std::optional<util::MonotonicTime> next_blind_tick() const;

  // The cap that counts for us, as far as we have heard.
  int64_t cap() const;
  // What is known of the others, for who decides by it. Looked at again when there is news of them,
  // and, while nobody tells or some of them wait, when it is older than a while that depends on
  // what a look costs. nullptr: nothing is known, or the store cannot tell now.
  Crowd* crowd();
  // The same for who sleeps, whom only the cap and the closing concern: true after a fresh look.
  bool hear();
  // This process was poked: that may be news.
  void poked() { changed_ = true; }
  // When hear() wants to be called, and the descriptor that wants it when it becomes readable (or
  // -1).
  std::optional<util::MonotonicTime> next_hear() const;
  int news_fd() const;
  // Whether it seems that one more slot could be had now.
  bool has_room() const { return crowd_ && !crowd_->closed && crowd_->size < cap(); }

 private:
  void listen();
  bool quiet() const;
  void look();

  store::Store& store_;
  const store::Claim& claim_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::optional<Crowd> crowd_;
  int64_t granted_max_ = 0;
  store::MapRecord* record_ = nullptr;
  bool listening_ = false;  // it would tell
  bool arrival_ = false;    // the news since the last look
  bool changed_ = false;
  bool unsettled_ = false;  // the last look showed that others wait, or that too much is in use
  util::MonotonicTime looked_;
  util::Duration pause_;              // from one look to the next
  util::Duration news_pause_;         // the same where there is news
  util::MonotonicTime answer_until_;  // a renewal may be under way
};

}  // namespace cachify::map

#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "store/file/layout.h"
#include "util/time.h"

namespace cachify::store::file {

// Asks the kernel whether the owner of an entry is alive. Costs a system call each.
class Liveness {
 public:
  virtual ~Liveness() = default;
  virtual bool waits(uint32_t index, uint64_t ticket) = 0;  // W(t) is locked
  virtual bool lives(uint32_t index, uint64_t ticket) = 0;  // L(t) is locked
  virtual bool holds(uint32_t index, uint64_t ticket) = 0;  // H(t) is locked
};

// What the rules need to know of a caller.
struct Wish {
  uint32_t max = 1;
  uint32_t weight = 1;
  bool lock = false;
  bool shared = false;
  int16_t priority = 0;
};

// A copy of header and entries, read under the mutex, with the rules of admission on it. Changes
// are remembered in dirty() until StateFile::commit writes them. Knows no system call.
class Table {
 public:
  Header header{};
  std::vector<Entry> entries;  // header.high_water of them

  uint64_t draw(int64_t now_us);  // a ticket or a fence

  void set(uint32_t index, Entry entry);  // seals it with its checksum; grows the table
  void clear(uint32_t index);
  uint32_t free_index() const;
  const std::vector<uint32_t>& dirty() const { return dirty_; }
  void clean() { dirty_.clear(); }

  // Drops the entries of expired holders, counting them.
  void drop_expired(int64_t now_boottime_ns);
  // Drops the entries of dead holders, and of dead waiters that were dismissed: a probe for each.
  void drop_dead_holders(Liveness& liveness);
  // Drops a holder with all its extra entries.
  void drop_holder(uint32_t index);
  // Drops extra entries that have no holder any more: they count for nobody.
  void drop_stray_extras();

  // Slots in use by the entries that stand (readers of a lock count one each).
  uint64_t used() const;
  // The cap that counts for a caller.
  uint32_t cap(const Wish& wish) const {
    return header.stored_max != 0 ? header.stored_max : wish.max;
  }
  bool fits(const Wish& wish) const;
  // The lowest free slots, as contiguous ranges (first, count).
  std::vector<std::pair<uint32_t, uint32_t>> free_slots(uint32_t weight) const;

  // Waiting entries in the order in which they are to be served.
  std::vector<uint32_t> queue() const;
  // The nearest live waiter that is to be served before (priority, ticket); drops the dead ones
  // that it meets. A newcomer passes a ticket beyond all.
  std::optional<uint32_t> nearest_before(int16_t priority, uint64_t ticket, Liveness& liveness);
  // Drops dead waiters, all of them, and returns the live ones in order. `self` counts as live.
  std::vector<uint32_t> live_queue(Liveness& liveness, std::optional<uint32_t> self);

  // The live waiters that may sleep on something else than the end of who is before them: the head,
  // and each that was the head until those came that overtook it. Drops the dead that it asks
  // about.
  std::vector<uint32_t> heads(Liveness& liveness);
  // Takes all live waiters out of the queue, counts them, and returns them in order.
  std::vector<uint32_t> dismiss_all(Liveness& liveness);

  std::vector<uint32_t> holders() const;  // primary entries
  // The holders whose end is still to be asked for so that the wish will fit, when those that were
  // asked already have ended as well: who came longest ago first, no more than it needs. Empty when
  // nobody's end could make it fit.
  std::vector<uint32_t> to_replace(const Wish& wish) const;
  // Notes in a holder's entry that it is to end.
  void ask_to_end(uint32_t index, std::optional<util::Duration> kill_after);
  // The nearest expiry among the holders, CLOCK_BOOTTIME ns.
  std::optional<int64_t> nearest_expiry() const;

 private:
  std::vector<uint32_t> dirty_;
};

// What ask_to_end() has noted as the holder's time from TERM to KILL.
std::optional<util::Duration> kill_after_of(const Entry& entry);

// Whether a waiter with (priority, ticket) is served before another one.
inline bool served_before(int16_t priority, uint64_t ticket, int16_t other_priority,
                          uint64_t other_ticket) {
  if (priority != other_priority) return priority > other_priority;
  return ticket < other_ticket;
}

}  // namespace cachify::store::file

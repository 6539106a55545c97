#include "store/file/lease.h"

#include <utility>

#include "errors.h"
#include "store/file/locks.h"

namespace cachify::store::file {

FileLease::~FileLease() {
  if (released_) return;
  hold_.reset();
  if (bell_.mapped()) bell_.wake_all();
}

void FileLease::leave_place() noexcept {
  if (!std::exchange(keeps_place_, false)) return;
  try {
    unlock_byte(state_->shard(index_), kWaitByte + ticket_);
  } catch (const StoreError&) {
    // The shard of our own entry is pinned open; with it gone, so is the byte.
  }
}

Lease::State FileLease::tick() noexcept {
  if (told_) return State::held;
  const std::optional<Entry> entry = state_->peek(index_);
  if (!entry) return State::held;
  if (entry->ticket == ticket_ && entry->state == EntryState::holding) {
    if (entry->ending == 0) return State::held;
    told_ = true;
    kill_after_ = kill_after_of(*entry);
    return State::taken;
  }
  // An expired slot goes to others without anybody's doing.
  if (expires_ != 0 && expires_ <= util::boottime_ns()) return State::held;
  told_ = true;
  return State::released;
}

// R1 to R3. Whether somebody may sleep on the bell.
bool FileLease::give_back() {
  // A holder with extra entries has to look for them.
  const bool alone = contiguous_;
  if (state_->lock(StateFile::Access::existing, {&interrupts_}, alone) !=
      StateFile::Locking::locked) {
    return false;
  }
  Table& table = state_->table();
  bool wake = false;
  // Somebody may have dropped the entry after it expired and given its place to another ticket.
  const Entry entry = alone                           ? state_->entry_alone(index_)
                      : index_ < table.entries.size() ? table.entries[index_]
                                                      : Entry{};
  if (entry.ticket == ticket_ && entry.state == EntryState::holding) {
    const bool expired = entry.expires != 0 && entry.expires <= util::boottime_ns();
    ++(expired ? table.header.counters.expired : table.header.counters.completed);
    if (bell_.mapped() && table.header.bell == kBellArmed) {
      table.header.bell = kBellRung;
      wake = true;
    }
    if (alone) {
      state_->clear_alone(index_);
    } else {
      table.drop_holder(index_);
      state_->commit();
    }
  }
  state_->unlock();
  return wake;
}

void FileLease::release() {
  released_ = true;
  leave_place();
  // Whatever becomes of the table: without H the entry counts for nobody, and the kernel's own
  // way of waking, a ring that leaves the word as it is, makes the head look again.
  struct LetGo {
    FileLease& lease;
    bool wake = true;
    ~LetGo() {
      unlock_byte(lease.hold_.get(), kHoldByte + lease.ticket_);
      if (wake && lease.bell_.mapped()) lease.bell_.wake_all();
      lease.bell_.forget_death();
    }
  } let_go{*this};
  let_go.wake = give_back();
}

}  // namespace cachify::store::file

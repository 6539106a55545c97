#include "store/file/admission.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "errors.h"
#include "store/file/file_system.h"
#include "store/file/info.h"
#include "store/file/lease.h"
#include "store/file/locks.h"
#include "store/file/picture.h"
#include "store/file/poke.h"
#include "store/inherited.h"
#include "util/process.h"

namespace cachify::store::file {

Admission::Admission(const Directory& directory, std::string prefixed_key, const Claim& claim,
                     const Patience& patience, run::Interrupts& interrupts, WaitObserver& observer)
    : claim_(claim),
      patience_(patience),
      interrupts_(interrupts),
      observer_(observer),
      state_(std::make_unique<StateFile>(directory, claim.kind, std::move(prefixed_key))),
      started_(util::monotonic_now()) {
  pid_namespace_ = util::pid_namespace();
  wish_.max = static_cast<uint32_t>(claim.max);
  wish_.weight = static_cast<uint32_t>(claim.weight);
  wish_.lock = claim.kind == Kind::lock;
  wish_.shared = claim.shared;
  wish_.priority = static_cast<int16_t>(claim.priority);
}

Acquisition Admission::run() {
  return finish(arrive());
}

Acquisition Admission::go_on(PlaceInQueue place) {
  state_->adopt(std::move(place.control), std::move(place.first_shard));
  hold_ = std::move(place.hold);
  index_ = place.index;
  ticket_ = place.ticket;
  started_ = place.arrived;
  queued_ = true;
  state_->pin(index_);
  arm();
  if (const auto after = observer_.explain_after()) explain_at_ = started_ + *after;
  if (!lock()) return finish(given_up());
  return finish(std::nullopt);
}

Acquisition Admission::finish(std::optional<Outcome> outcome) {
  while (!outcome) outcome = check();
  // A ring that we took and did not use belongs to the head of the queue.
  if (slept_on_bell_ && !lease_) bell_.wake_all();
  Acquisition result;
  result.outcome = *outcome;
  result.max = cap_;
  result.lease = std::move(lease_);
  result.waited = util::monotonic_now() - started_;
  return result;
}

bool Admission::lock() {
  const StateFile::Wait wait{&interrupts_, patience_.deadline, /*until_signal=*/true};
  if (state_->lock(StateFile::Access::create, wait) != StateFile::Locking::locked) return false;
  cap_ = state_->table().cap(wish_);
  return true;
}

// Without the mutex our entry stays; with W gone it is dead all the same.
Outcome Admission::given_up() const {
  return interrupts_.caught() ? Outcome::interrupted : Outcome::timed_out;
}

// A1 to A8.
std::optional<Outcome> Admission::arrive() {
  if (!lock()) return given_up();
  if (interrupts_.caught()) return leave(Outcome::interrupted);
  Table& table = state_->table();
  if (cap_ == 0) {
    throw UsageError("--max is needed: the pool '" + claim_.key + "' has no stored cap");
  }
  if (wish_.weight > cap_) {
    throw UsageError("--weight " + std::to_string(wish_.weight) + " is more than the slots of '" +
                     claim_.key + "' (max=" + std::to_string(cap_) + ")");
  }
  table.drop_expired(util::boottime_ns());
  if (const auto refusal = refusal_on_arrival()) {
    ++table.header.counters.rejected;
    state_->commit();
    return leave(*refusal);
  }
  // Nobody is dismissed for a lock that can never be had.
  if (claim_.replace && claim_.replace->waiting && (fits() || !held_above())) dismiss_others();
  constexpr uint64_t kBehindAll = std::numeric_limits<uint64_t>::max();
  if (!table.nearest_before(wish_.priority, kBehindAll, *state_) && fits()) {
    index_ = table.free_index();
    ticket_ = table.draw(util::realtime_us());
    return admit();
  }
  std::optional<Outcome> refusal;
  if (held_above()) {
    refusal = Outcome::held_above;
  } else if (!patience_.wait) {
    refusal = Outcome::full;
  } else if (claim_.queue_max &&
             static_cast<int64_t>(table.live_queue(*state_, std::nullopt).size()) >=
                 *claim_.queue_max) {
    refusal = Outcome::queue_full;
  }
  if (refusal) {
    ++table.header.counters.rejected;
    state_->commit();
    return leave(*refusal);
  }
  enqueue();
  return std::nullopt;
}

std::optional<Outcome> Admission::refusal_on_arrival() {
  const Table& table = state_->table();
  if (table.header.closed != 0) return Outcome::closed;
  if (!claim_.shed_at) return std::nullopt;
  const ShedAt& shed = *claim_.shed_at;
  const double limit =
      shed.percent ? *shed.percent / 100.0 * cap_ : static_cast<double>(shed.slots);
  // The dead count only as long as it makes no difference.
  if (static_cast<double>(table.used()) < limit) return std::nullopt;
  if (static_cast<double>(occupancy()) < limit) return std::nullopt;
  return Outcome::shed;
}

uint64_t Admission::occupancy() {
  state_->table().drop_dead_holders(*state_);
  return state_->table().used();
}

bool Admission::fits() {
  Table& table = state_->table();
  if (table.fits(wish_)) return true;
  table.drop_dead_holders(*state_);
  return table.fits(wish_);
}

// Who waits is out of the queue before we are in it. Written before anybody is woken.
void Admission::dismiss_others() {
  std::vector<Owner> owners;
  for (const uint32_t index : state_->table().dismiss_all(*state_)) {
    owners.push_back(owner_of(*state_, index, kWaitByte));
  }
  state_->commit();
  signal_owners(*state_, owners, run::kPokeSignal);
}

// Whether an ancestor of this process holds the lock without an end, and so it can never be had.
// Where both are readers it is the queue that keeps us out: a writer in it waits for that ancestor,
// as we would wait for the writer.
bool Admission::held_above() {
  if (claim_.kind != Kind::lock) return false;
  std::vector<pid_t> above;
  const Table& table = state_->table();
  for (const uint32_t index : table.holders()) {
    const Entry& entry = table.entries[index];
    if (entry.expires != 0) continue;
    if (above.empty()) above = util::ancestors();
    const Info holder = state_->read_info(index);
    if (holder.pid_namespace == pid_namespace_ && state_->lives(index, entry.ticket)) {
      // The process table tells: a daemon that left the holder's command has other ancestors.
      if (std::find(above.begin(), above.end(), static_cast<pid_t>(holder.pid)) != above.end()) {
        return true;
      }
    } else if (is_inherited(id_of(entry.ticket))) {
      // Its cachify was killed or cannot be seen from here, but we have the mark of its command.
      return true;
    }
  }
  return false;
}

Info Admission::info(int64_t since_us) const {
  return info_of(claim_.who, pid_namespace_, since_us);
}

// From now on the kernel rings for us when we die. Locks have no bell: who waits for one always
// waits for a certain holder's byte.
void Admission::arm() {
  if (claim_.kind != Kind::lock && bell_.map(state_->fd(), state_->status())) bell_.ring_at_death();
}

// For somebody who may sleep on the bell; to be woken after the mutex was let go. Also when it was
// rung already: of several sleepers the kernel wakes one, and who rang may have died with it.
void Admission::ring() {
  if (bell_.mapped()) state_->table().header.bell = kBellRung;
}

// A7, A8.
void Admission::enqueue() {
  Table& table = state_->table();
  index_ = table.free_index();
  ticket_ = table.draw(util::realtime_us());
  queued_ = true;
  state_->pin(index_);
  arm();
  lock_byte(state_->shard(index_), kWaitByte + ticket_);
  if (const auto after = observer_.explain_after()) explain_at_ = started_ + *after;
  if (!wakes_sleepers(state_->fd())) {
    can_be_woken_ = false;
    observer_.note("the store's file system cannot wake who waits; looking several times a second");
  }
  write_waiting_entry();
  // What would cost time at our turn.
  hold_ = state_->open_hold(index_);
  util::populate_program();
}

void Admission::write_waiting_entry() {
  Table& table = state_->table();
  Entry entry{};
  entry.ticket = ticket_;
  entry.expiry = claim_.expiry ? claim_.expiry->count() : 0;
  entry.count = wish_.weight;
  entry.weight = wish_.weight;
  entry.max = wish_.max;
  entry.priority = wish_.priority;
  entry.state = EntryState::waiting;
  entry.shared = wish_.shared ? 1 : 0;
  table.header.next = std::max(table.header.next, ticket_);
  table.set(index_, entry);
  state_->commit();
  state_->write_info(index_, info(util::realtime_us()));
}

bool Admission::is_mine(EntryState state) const {
  const auto& entries = state_->table().entries;
  return index_ < entries.size() && entries[index_].ticket == ticket_ &&
         entries[index_].state == state;
}

// Whether the key has room for the next in line, as far as the table tells.
bool Admission::next_would_fit() const {
  const Table& table = state_->table();
  const std::vector<uint32_t> queue = table.queue();
  if (queue.empty()) return true;
  const Entry& next = table.entries[queue.front()];
  Wish wish = wish_;
  wish.max = next.max;
  wish.weight = next.weight;
  wish.shared = next.shared != 0;
  return table.fits(wish);
}

// D1 to D5. The entry at index_ is free, or our own waiting one.
Outcome Admission::admit() {
  Table& table = state_->table();
  const int64_t now_us = util::realtime_us();

  Entry entry{};
  entry.ticket = ticket_;
  entry.fence = table.draw(now_us);
  entry.expires = claim_.expiry ? util::boottime_ns() + claim_.expiry->count() : 0;
  entry.max = wish_.max;
  entry.weight = wish_.weight;
  entry.priority = wish_.priority;
  entry.state = EntryState::holding;
  entry.shared = wish_.shared ? 1 : 0;
  entry.primary = index_;
  const auto slots = table.free_slots(wish_.weight);
  entry.slot = slots.front().first;
  entry.count = slots.front().second;

  state_->pin(index_);
  arm();
  lock_byte(state_->shard(index_), kLifeByte + ticket_);
  if (!hold_) hold_ = state_->open_hold(index_);
  lock_byte(hold_.get(), kHoldByte + ticket_);

  table.set(index_, entry);
  for (size_t i = 1; i < slots.size(); ++i) {
    Entry extra = entry;
    extra.state = EntryState::extra;
    extra.slot = slots[i].first;
    extra.count = slots[i].second;
    table.set(table.free_index(), extra);
  }

  const auto waited_us = static_cast<uint64_t>((util::monotonic_now() - started_).count() / 1000);
  Counters& counters = table.header.counters;
  ++counters.admitted;
  if (queued_) {
    counters.waited_us += waited_us;
    counters.longest_wait_us = std::max(counters.longest_wait_us, waited_us);
  }
  // The next in line wakes when W goes. But who came before us and was overtaken by our priority
  // may still sleep on the bell, and fit as well.
  bool wake = false;
  if (queued_) {
    for (const uint32_t index : table.queue()) {
      wake = wake || table.entries[index].ticket < ticket_;
    }
  }
  if (wake) ring();
  state_->write_info(index_, info(now_us));
  state_->commit();
  state_->unlock();
  const bool next_at_once = next_would_fit();
  if (queued_ && next_at_once) unlock_byte(state_->shard(index_), kWaitByte + ticket_);
  if (wake && bell_.mapped()) bell_.wake_all();

  Grant grant;
  grant.id = id_of(ticket_);
  grant.fence = entry.fence;
  grant.slot = entry.slot;
  grant.max = cap_;
  auto lease = std::make_unique<FileLease>(interrupts_, std::move(state_), std::move(bell_),
                                           std::move(hold_), index_, entry, std::move(grant),
                                           claim_.inherit);
  if (queued_ && !next_at_once) lease->keep_place();
  if (slots.size() > 1) lease->has_extras();
  lease_ = std::move(lease);
  return Outcome::admitted;
}

// LEAVE, with the mutex held. Closing the control description would do for W; the entry is
// cleared for whoever counts the queue.
Outcome Admission::leave(Outcome outcome) {
  Table& table = state_->table();
  bool wake = false;
  if (queued_ && (is_mine(EntryState::waiting) || is_mine(EntryState::dismissed))) {
    table.clear(index_);
    if (outcome == Outcome::timed_out) ++table.header.counters.timed_out;
    // A ring that was meant for us goes to who is the head now, who may sleep on the bell already.
    wake = !table.queue().empty();
    if (wake) ring();
    state_->commit();
  }
  state_->unlock();
  if (queued_) unlock_byte(state_->shard(index_), kWaitByte + ticket_);
  if (wake && bell_.mapped()) bell_.wake_all();
  bell_.forget_death();
  return outcome;
}

}  // namespace cachify::store::file

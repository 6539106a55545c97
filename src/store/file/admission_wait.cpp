// CHECK of PROTOCOL.md: what a queued caller does until it is its turn.
#include <algorithm>
#include <array>
#include <csignal>
#include <limits>

#include "errors.h"
#include "store/file/admission.h"
#include "store/file/locks.h"
#include "store/file/picture.h"
#include "store/file/steering.h"

namespace cachify::store::file {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A head looks again after this long whatever happens: it bounds what a ring of the kernel that
// fell between the look and the sleep can cost.
constexpr util::Duration kHeartbeat = std::chrono::seconds(1);

// The kernel rings before it frees the locks of the dead.
constexpr std::array<util::Duration, 6> kLooksAfterDeath = {microseconds(100), microseconds(300),
                                                            milliseconds(1),   milliseconds(5),
                                                            milliseconds(25),  milliseconds(200)};

// Of these, the first that is worth taking when nobody is known to have died.
constexpr int kFirstEarlyLook = 3;

}  // namespace

// CHECK: one look at the situation, and a sleep when it is not our turn.
std::optional<Outcome> Admission::check() {
  Table& table = state_->table();
  if (interrupts_.caught()) return leave(Outcome::interrupted);
  if (is_mine(EntryState::dismissed)) return leave(Outcome::dismissed);
  if (!is_mine(EntryState::waiting)) {
    throw StoreError("the place in the queue of '" + claim_.key +
                     "' was lost: its state file was changed by somebody else; try again");
  }
  if (cap_ == 0) {
    leave(Outcome::full);
    throw UsageError("--max is needed: the pool '" + claim_.key + "' has no stored cap any more");
  }
  table.drop_expired(util::boottime_ns());
  const std::optional<uint32_t> predecessor =
      table.nearest_before(wish_.priority, ticket_, *state_);
  if (!predecessor && fits()) return admit();
  if (patience_.deadline && util::monotonic_now() >= *patience_.deadline) {
    return leave(Outcome::timed_out);
  }
  explain_when_due();
  if (claim_.replace && claim_.replace->running) {
    if (!predecessor || !asked_on_arrival_) ask_holders_to_end();
    asked_on_arrival_ = true;
    see_to_their_end();
  }
  const Sleep how = choose_sleep(predecessor);
  if (!table.dirty().empty() || how == Sleep::bell) state_->commit();
  state_->unlock();
  sleep(how, predecessor);
  const bool goes_on = observer_.go_on();
  if (!lock()) return given_up();
  if (!goes_on) return leave(Outcome::interrupted);
  if (how == Sleep::bell && slept_on_bell_) {
    // Woken, and the word still armed: that was the kernel, for somebody who died.
    if (state_->table().header.bell == kBellArmed) after_death_ = 0;
  }
  return std::nullopt;
}

Admission::Sleep Admission::choose_sleep(std::optional<uint32_t> predecessor) {
  Table& table = state_->table();
  if (!can_be_woken_) return Sleep::poll;
  if (predecessor) return Sleep::predecessor;
  const std::vector<uint32_t> holders = table.holders();
  // One holder in the way, or all of them: the end of a certain one is needed.
  if (!holders.empty() && (holders.size() == 1 || (wish_.lock && !wish_.shared))) {
    holder_in_my_way_ = holders.front();
    return Sleep::holder;
  }
  if (wish_.lock) {
    for (const uint32_t index : holders) {
      if (table.entries[index].shared == 0) {
        holder_in_my_way_ = index;
        return Sleep::holder;
      }
    }
  }
  bool orphans = false;
  for (const uint32_t index : holders) {
    if (state_->lives(index, table.entries[index].ticket)) continue;
    orphans = true;
    if (!watch_.add(state_->path_of_shard(index))) return Sleep::poll;
  }
  if (orphans) {
    if (!watch_.add(state_->path_of_shard(0))) return Sleep::poll;
    // What happened before the watch was set is seen by another look only.
    return watch_.fresh() ? Sleep::none : Sleep::watch;
  }
  if (!bell_.mapped()) return Sleep::poll;
  table.header.bell = kBellArmed;
  // Somebody who dies as the queue moves up rings before we sleep, and his command-to-be keeps L
  // for an instant: a few early looks see what that leaves behind.
  if (!looked_early_ && after_death_ < 0) after_death_ = kFirstEarlyLook;
  looked_early_ = true;
  return Sleep::bell;
}

Admission::Replaced* Admission::find_replaced(uint64_t ticket) {
  const auto known = std::find_if(replaced_.begin(), replaced_.end(),
                                  [&](const Replaced& one) { return one.ticket == ticket; });
  return known == replaced_.end() ? nullptr : &*known;
}

// --replace running: asks those to end who stand in our way, on arrival, and as the head of the
// queue also those who came in before us.
void Admission::ask_holders_to_end() {
  const Table& table = state_->table();
  const std::vector<uint32_t> replaced = table.to_replace(wish_);
  if (replaced.empty()) return;
  const std::vector<Owner> out_of_reach = ask_to_end(*state_, replaced, claim_.replace->kill_after);
  if (!out_of_reach.empty()) give_up_on(out_of_reach.front());
  for (const uint32_t index : replaced) {
    replaced_.push_back({table.entries[index].ticket, std::nullopt});
  }
}

// That the commands end which have no cachify to do it.
void Admission::see_to_their_end() {
  const Table& table = state_->table();
  std::vector<Owner> untold;
  for (const uint32_t index : table.holders()) {
    const Entry& entry = table.entries[index];
    if (entry.ending == 0) continue;
    Replaced* known = find_replaced(entry.ticket);
    if (known == nullptr) {
      // Whoever has asked it may have been killed before he told it.
      untold.push_back(owner_of(*state_, index, kLifeByte));
      known = &replaced_.emplace_back(Replaced{entry.ticket, std::nullopt});
    }
    if (state_->lives(index, entry.ticket)) continue;
    const util::MonotonicTime now = util::monotonic_now();
    if (!known->kill_at) {
      end_orphan(index, SIGTERM);
      known->kill_at = now + claim_.replace->kill_after;
    } else if (now >= *known->kill_at) {
      end_orphan(index, SIGKILL);
    }
  }
  if (!untold.empty()) signal_owners(*state_, untold, run::kPokeSignal);
}

void Admission::end_orphan(uint32_t index, int signal) {
  const Owner orphan = owner_of(*state_, index, kHoldByte);
  if (file::end_orphan(*state_, orphan, signal) == Reach::out_of_reach) give_up_on(orphan);
}

void Admission::give_up_on(const Owner& holder) {
  leave(Outcome::full);
  cannot_end(claim_.key, holder);
}

util::MonotonicTime Admission::wake_up_time(bool head) const {
  const util::MonotonicTime now = util::monotonic_now();
  util::MonotonicTime until{std::numeric_limits<int64_t>::max()};
  if (patience_.deadline) until = std::min(until, *patience_.deadline);
  if (explain_at_) until = std::min(until, *explain_at_);
  if (const auto look = observer_.next_look()) {
    until = std::min(until, now + util::Duration(*look - util::boottime_ns()));
  }
  for (const Replaced& one : replaced_) {
    if (one.kill_at && *one.kill_at > now) until = std::min(until, *one.kill_at);
  }
  if (!head) return until;
  util::Duration look = kHeartbeat;
  if (after_death_ >= 0) look = kLooksAfterDeath[static_cast<size_t>(after_death_)];
  until = std::min(until, now + look);
  if (const auto expiry = state_->table().nearest_expiry()) {
    until =
        std::min(until, now + util::Duration(std::max<int64_t>(0, *expiry - util::boottime_ns())));
  }
  return until;
}

void Admission::sleep(Sleep how, std::optional<uint32_t> predecessor) {
  const util::MonotonicTime until = wake_up_time(!predecessor);
  if (slept_on_bell_ && how != Sleep::bell) {
    // Perhaps a ring that was meant for the head that overtook us.
    bell_.wake_all();
    slept_on_bell_ = false;
  }
  const auto wait_for = [&](uint32_t index, uint64_t byte) {
    const int fd = state_->shard(index);
    run::Interrupts::Window window(interrupts_, until);
    if (!window.woken()) wait_for_byte(fd, byte);
  };
  const Table& table = state_->table();
  bool event = false;
  switch (how) {
    case Sleep::predecessor:
      wait_for(*predecessor, kWaitByte + table.entries[*predecessor].ticket);
      break;
    case Sleep::holder:
      wait_for(holder_in_my_way_, kHoldByte + table.entries[holder_in_my_way_].ticket);
      break;
    case Sleep::bell: {
      run::Interrupts::Window window(interrupts_, std::nullopt);
      if (!window.woken()) slept_on_bell_ = bell_.sleep(until);
      break;
    }
    case Sleep::none:
      break;
    case Sleep::watch:
      // The event of a last close comes just before its locks are free.
      event = watch_.sleep(until, interrupts_.wait_mask());
      break;
    case Sleep::poll: {
      const util::MonotonicTime now = util::monotonic_now();
      const auto jitter = microseconds(now.ns / 1000 % 90'000);
      sleep_until(std::min(until, now + milliseconds(30) + jitter), interrupts_.wait_mask());
      break;
    }
  }
  if (event) {
    after_death_ = 0;
  } else if (after_death_ >= 0 && ++after_death_ == static_cast<int>(kLooksAfterDeath.size())) {
    after_death_ = -1;
  }
}

void Admission::explain_when_due() {
  if (!explain_at_ || util::monotonic_now() < *explain_at_) return;
  explain_at_.reset();
  const Situation situation = picture_of(*state_, index_);
  const auto me = std::find_if(situation.waiters.begin(), situation.waiters.end(),
                               [this](const WaiterInfo& w) { return w.id == id_of(ticket_); });
  observer_.waiting(situation, me == situation.waiters.end() ? 0 : me->position);
}

}  // namespace cachify::store::file

// Slots: when to take one more, when to give one back.
#include <algorithm>
#include <vector>

#include "errors.h"
#include "exit_codes.h"
#include "map/loop.h"
#include "map/sleep.h"
#include "run/explain.h"

namespace cachify::map {

namespace {

using store::Outcome;
using util::MonotonicTime;

// After a store that could not be asked, or a pool that is closed or full; sooner when there is
// news.
constexpr util::Duration kPause = std::chrono::seconds(1);
constexpr util::Duration kFullPause = std::chrono::milliseconds(500);

}  // namespace

// As many as --reserve asks for, and the pool has.
int64_t Loop::reserve() const {
  const int64_t cap = slots_.cap();
  return cap > 0 ? std::min(request_.reserve, cap) : request_.reserve;
}

bool Loop::wants_slot() const {
  if (phase_ != Phase::working || leaves_queue_ || crowded_out_ || feed_.finished()) return false;
  if (not_before_ && util::monotonic_now() < *not_before_) return false;
  if (slots_.held() < reserve()) return true;
  if (!feed_.pending()) return false;
  for (const auto& slot : slots_.all()) {
    if (!slot->busy) return false;
  }
  // A slot more than there are cannot be had; sleep() hears when that has changed.
  return slots_.held() == 0 || slots_.held() < slots_.cap();
}

void Loop::take_slot() {
  not_before_.reset();
  const bool have_none = slots_.held() == 0;
  if (have_none && !without_slot_) without_slot_ = util::monotonic_now();
  store::Patience patience;
  patience.wait = request_.wait;
  if (have_none && request_.timeout) patience.deadline = *without_slot_ + *request_.timeout;
  store::Acquisition acquisition;
  try {
    acquisition = store_.acquire(request_.claim, patience, interrupts_, *this);
  } catch (const StoreError& error) {
    // Who has slots goes on with them.
    if (slots_.held() == 0) throw;
    say(error.what());
    not_before_ = util::monotonic_now() + kPause;
    return;
  }
  if (acquisition.outcome == Outcome::admitted) {
    without_slot_.reset();
    slots_.add(std::move(acquisition));
  } else if (acquisition.outcome == Outcome::interrupted) {
    // The signal may still be pending; it is caught by being let through.
    std::vector<pollfd> none;
    wait_for(none, util::monotonic_now(), interrupts_.wait_mask());
  } else {
    refused(acquisition);
  }
}

void Loop::refused(const store::Acquisition& acquisition) {
  const bool goes_on = slots_.held() > 0 && (acquisition.outcome == Outcome::full ||
                                             acquisition.outcome == Outcome::queue_full ||
                                             acquisition.outcome == Outcome::closed);
  if (goes_on) {
    not_before_ =
        util::monotonic_now() + (acquisition.outcome == Outcome::closed ? kPause : kFullPause);
    return;
  }
  const int code = acquisition.outcome == Outcome::timed_out ? kExitTimeout : kExitFull;
  stop_with(request_.conflict_exit_code.value_or(code),
            run::refusal_text(request_.claim, request_.timeout, acquisition));
}

std::optional<util::Duration> Loop::explain_after() const {
  if (slots_.held() > 0) return std::nullopt;
  return WaitExplainer::explain_after();
}

// The store's sleep has ended while we queue for one more slot.
bool Loop::go_on() {
  try {
    step();
  } catch (...) {
    failed(std::current_exception());
  }
  if (leaves_queue_ || !wants_slot() || !ended_.empty()) return false;
  return std::none_of(slots_.all().begin(), slots_.all().end(),
                      [](const auto& slot) { return !slot->busy && slot->spent; });
}

std::optional<int64_t> Loop::next_look() const {
  if (has_news()) return util::boottime_ns();
  Earliest earliest;
  earliest.add(next_deed());
  earliest.add(slots_.next_blind_tick());
  // For --reserve: nothing tells while we queue that there is something to read.
  if (!feed_.pending() && feed_.wants() >= 0) earliest.add(util::monotonic_now() + kLinger);
  if (!earliest.get()) return std::nullopt;
  return util::boottime_ns() + (*earliest.get() - util::monotonic_now()).count();
}

// Whether an idle slot is better given back than used for the next item.
bool Loop::drops(const Slot& slot) {
  if (!slot.used || slots_.held() <= reserve()) return false;
  Crowd* const crowd = slots_.crowd();
  if (crowd == nullptr || !gives_way(*crowd, slots_.cap(), slots_.held())) return false;
  one_given_back(*crowd);
  return true;
}

// Gives back what is spent, and what is idle without need.
void Loop::drop_slots() {
  const MonotonicTime now = util::monotonic_now();
  std::vector<Slot*> dropped;
  int64_t left = slots_.held();
  for (const auto& slot : slots_.all()) {
    if (slot->busy) continue;
    bool drop = slot->spent;
    if (!drop && left > reserve()) {
      const bool over = phase_ != Phase::working || feed_.finished();
      drop = over || (!feed_.pending() && now >= slot->idle_since + kLinger);
    }
    if (!drop) continue;
    --left;
    dropped.push_back(slot.get());
  }
  for (Slot* slot : dropped) slots_.give_back(*slot);
}

}  // namespace cachify::map

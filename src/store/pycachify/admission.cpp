#include "store/pycachify/admission.h"

#include <utility>

#include "errors.h"
#include "store/pycachify/lease.h"
#include "store/redis/failure.h"
#include "store/redis/random.h"
#include "store/redis/retries.h"

namespace cachify::store::pycachify {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kLastAnswer = milliseconds(500);
constexpr util::Duration kLeavingPause = milliseconds(20);
// Who waits anyway sits out the guard of a Python caller that died: it lasts 30 s by default.
constexpr util::Duration kGuardOutlived = seconds(35);

}  // namespace

Admission::Admission(const redis::Address& address, const std::string& prefix, const Claim& claim,
                     const Patience& patience, run::Interrupts& interrupts, WaitObserver& observer)
    : address_(address),
      claim_(claim),
      patience_(patience),
      interrupts_(interrupts),
      observer_(observer),
      started_(util::monotonic_now()),
      client_(address),
      book_(make_book(address, prefix, claim)),
      guard_(prefix, claim.key, guard_patience(claim.max)) {}

redis::Limit Admission::limit() const {
  return {patience_.deadline.value_or(redis::kNever), &interrupts_, &observer_};
}

// An answer that is on its way when the patience ends counts.
redis::Limit Admission::request_limit() const {
  return {std::max(limit().until, util::monotonic_now() + kLastAnswer), &interrupts_, &observer_};
}

// A server that has said that there is a guard does answer: it is the guard that we give up.
redis::Limit Admission::with_time_for_an_answer(redis::Limit limit) const {
  if (guard_.lasted() > util::Duration::zero()) {
    limit.until = std::max(limit.until, util::monotonic_now() + kLastAnswer);
  }
  return limit;
}

bool Admission::is_too_late() const {
  return patience_.deadline && util::monotonic_now() >= *patience_.deadline;
}

Acquisition Admission::run() {
  std::optional<Outcome> outcome;
  try {
    while (!outcome) outcome = follow(take());
  } catch (const redis::Interrupted&) {
    outcome = Outcome::interrupted;
  } catch (...) {
    leave_quietly();
    throw;
  }
  if (outcome == Outcome::admitted && interrupts_.caught()) outcome = Outcome::interrupted;
  Acquisition result;
  result.outcome = *outcome;
  result.max = claim_.max;
  result.waited = util::monotonic_now() - started_;
  if (outcome == Outcome::admitted) {
    result.lease = std::make_unique<PolledLease>(claim_, std::move(book_), std::move(client_));
  } else {
    leave_quietly();
  }
  return result;
}

// One look, repeated as long as there is hope for an answer.
Book::Taken Admission::take() {
  using redis::Retries;
  Retries retries(address_, queued_ ? Retries::Mode::queued : Retries::Mode::first, limit());
  while (true) {
    try {
      return book_->take(client_,
                         queued_ ? request_limit() : with_time_for_an_answer(retries.limit()));
    } catch (const redis::Failure& failure) {
      book_->doubt(failure);
      if (queued_ && !failure.is_final()) {
        observer_.note(std::string("the store does not answer; trying again: ") + failure.what());
      }
      retries.after(failure);
    }
  }
}

std::optional<Outcome> Admission::follow(Book::Taken taken) {
  if (taken != Book::Taken::guarded) guard_.passed();
  switch (taken) {
    case Book::Taken::ours:
      return Outcome::admitted;
    case Book::Taken::shed:
      return Outcome::shed;
    case Book::Taken::held_above:
      return Outcome::held_above;
    case Book::Taken::full:
      if (!patience_.wait) return Outcome::full;
      if (is_too_late()) return Outcome::timed_out;
      wait_for_room();
      return std::nullopt;
    case Book::Taken::guarded:
      break;
  }
  wait_for_guard();
  return std::nullopt;
}

void Admission::wait_for_room() {
  if (!queued_) {
    queued_ = true;
    guard_.set_patience(kGuardOutlived);
    if (const auto after = observer_.explain_after()) explain_at_ = started_ + *after;
    observer_.note("the layout of py-cachify keeps no order: looking again and again");
  }
  explain_when_due();
  sleep(limit().within(redis::jittered(address_.poll)));
}

// Less when who waits holds other leases meanwhile, or has other work to do.
void Admission::sleep(const redis::Limit& limit) {
  redis::wait_for(-1, 0, limit, observer_.look_fd(), false);
  if (!observer_.go_on()) throw redis::Interrupted{};
}

void Admission::wait_for_guard() {
  if (patience_.wait && is_too_late() && guard_.lasted() >= kLastAnswer) guard_.give_up();
  sleep({util::monotonic_now() + guard_.pause(address_.poll), &interrupts_, &observer_});
}

void Admission::explain_when_due() {
  if (!explain_at_ || util::monotonic_now() < *explain_at_) return;
  explain_at_.reset();
  Situation situation;
  situation.size = book_->used();
  situation.with_who = false;
  observer_.waiting(situation, 0);
}

// What stays ends by itself.
void Admission::leave_quietly() noexcept {
  if (!book_->in_doubt()) return;
  try {
    // No signals: the one that asks us to stop has come already.
    const redis::Limit brief{util::monotonic_now() + kLastAnswer, nullptr};
    while (!book_->free(client_, brief)) redis::sleep_until(brief.within(kLeavingPause));
  } catch (...) {
  }
}

}  // namespace cachify::store::pycachify

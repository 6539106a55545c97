#include "store/pycachify/lease.h"

#include <algorithm>
#include <new>
#include <utility>

#include "errors.h"
#include "store/redis/failure.h"
#include "store/redis/random.h"
#include "util/log.h"

namespace cachify::store::pycachify {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kFirstPause = milliseconds(100);
constexpr util::Duration kLongestPause = seconds(1);
constexpr util::Duration kGuardPause = milliseconds(20);
constexpr util::Duration kTickTime = seconds(1);
constexpr util::Duration kReleaseTime = seconds(2);

util::Duration margin(util::Duration lease) {
  return std::min<util::Duration>(seconds(2), lease / 4);
}

}  // namespace

PolledLease::PolledLease(const Claim& claim, std::unique_ptr<Book> book, redis::Client client)
    : key_(claim.key),
      max_(claim.max),
      book_(std::move(book)),
      client_(std::move(client)),
      grant_(book_->grant()),
      pause_(kFirstPause),
      over_(claim.expiry.has_value()) {
  next_renewal_ = book_->confirmed_at() + redis::jittered(book_->lease() / 3).count();
}

int64_t PolledLease::lost_at() const noexcept {
  return book_->confirmed_at() + (book_->lease() - margin(book_->lease())).count();
}

std::optional<int64_t> PolledLease::next_tick() const noexcept {
  if (over_) return std::nullopt;
  return lost_reported_ ? next_renewal_ : std::min(next_renewal_, lost_at());
}

Lease::State PolledLease::tick() noexcept {
  if (over_) return State::held;
  const int64_t now = util::boottime_ns();
  try {
    if (now >= next_renewal_) {
      const State state = renew(now);
      if (state != State::held) return state;
    }
  } catch (const std::exception& error) {
    failed(error.what());
  }
  if (!lost_reported_ && util::boottime_ns() >= lost_at()) {
    lost_reported_ = true;
    return State::lost;
  }
  return State::held;
}

void PolledLease::failed(const char* why) noexcept {
  client_.disconnect();
  next_renewal_ = util::boottime_ns() + pause_.count();
  pause_ = std::min(pause_ * 2, kLongestPause);
  try {
    util::explain(key_ + ": the lease was not renewed: " + why);
  } catch (const std::bad_alloc&) {
    // Only words.
  }
}

Lease::State PolledLease::renew(int64_t now) {
  util::Duration time = kTickTime;
  // Not past the moment when --on-lost has to act.
  if (!lost_reported_) {
    time = std::clamp<util::Duration>(util::Duration(lost_at() - now), milliseconds(1), time);
  }
  const bool overdue = now >= book_->confirmed_at() + book_->lease().count();
  switch (book_->keep(client_, overdue, {util::monotonic_now() + time, nullptr})) {
    case Book::Kept::guarded:
      next_renewal_ = util::boottime_ns() + redis::jittered(kGuardPause).count();
      return State::held;
    case Book::Kept::lost:
      over_ = true;
      return lost_reported_ ? State::held : State::lost;
    case Book::Kept::released:
      over_ = true;
      return State::released;
    case Book::Kept::again:
      if (overdue) break;
      util::error(key_ +
                  ": somebody deleted it in the store; it was taken again for the running "
                  "command, perhaps beside others");
      break;
    case Book::Kept::kept:
      if (lost_reported_) util::message(key_ + ": the lease is held again");
      break;
  }
  pause_ = kFirstPause;
  next_renewal_ = book_->confirmed_at() + redis::jittered(book_->lease() / 3).count();
  // What was not there any more when its time was over may have been somebody else's meanwhile.
  if (overdue && !lost_reported_) {
    lost_reported_ = true;
    return State::lost;
  }
  lost_reported_ = false;
  return State::held;
}

void PolledLease::release() {
  over_ = true;
  const util::MonotonicTime started = util::monotonic_now();
  const util::MonotonicTime guarded_until = started + guard_patience(max_);
  redis::Limit limit{started + kReleaseTime, nullptr};
  const auto give_up = [this](const std::string& why) {
    throw StoreError(key_ + ": it could not be given back, and ends with its lease: " + why);
  };
  util::Duration pause = milliseconds(20);
  while (true) {
    try {
      if (book_->free(client_, limit)) return;
      if (util::monotonic_now() >= guarded_until) give_up("the guard of the pool stays");
      limit.until = util::monotonic_now() + kReleaseTime;
      redis::sleep_until(limit.within(redis::jittered(kGuardPause)));
    } catch (const redis::Failure& failure) {
      if (failure.is_final() || limit.within(pause).until == limit.until) give_up(failure.what());
      redis::sleep_until(limit.within(pause));
      pause = std::min(pause * 2, kFirstPause);
    }
  }
}

}  // namespace cachify::store::pycachify

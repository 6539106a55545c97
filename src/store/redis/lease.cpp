#include "store/redis/lease.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "errors.h"
#include "store/redis/failure.h"
#include "store/redis/retries.h"
#include "util/log.h"

namespace cachify::store::redis {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kFirstPause = milliseconds(100);
constexpr util::Duration kLongestPause = seconds(1);
constexpr util::Duration kReleaseTime = seconds(2);
constexpr util::Duration kFirstMoment = milliseconds(200);
// Who may not listen asks so often.
constexpr util::Duration kDeafInterval = seconds(2);

// A third of the lease, give or take a tenth of that, so that a thousand holders that started
// together do not stay together.
int64_t renewal_interval(util::Duration lease) {
  const int64_t third = lease.count() / 3;
  return third / 100 * (90 + util::boottime_ns() / 1000 % 20);
}

// So long before the lease ends by the server's clock, it counts as lost: time for --on-lost.
util::Duration margin(util::Duration lease) {
  return std::min<util::Duration>(seconds(2), lease / 4);
}

}  // namespace

RedisLease::RedisLease(const Address& address, const Books& books, std::unique_ptr<Client> client,
                       const Claim& claim, Grant grant, std::string epoch, std::string record,
                       int64_t asked_at_ns, std::optional<Unconfirmed> unconfirmed)
    : address_(address),
      books_(books),
      client_(std::move(client)),
      key_(claim.key),
      expiry_(claim.expiry),
      grant_(std::move(grant)),
      epoch_(std::move(epoch)),
      record_(std::move(record)),
      admitted_at_(asked_at_ns),
      confirmed_at_(asked_at_ns),
      lasts_(address.lease),
      pause_(kFirstPause),
      next_listen_(asked_at_ns + kFirstMoment.count()) {
  schedule_renewal();
  if (unconfirmed) {
    lasts_ = std::min(lasts_, unconfirmed->lease);
    asked_at_ = unconfirmed->asked_at_ns;
  }
}

int64_t RedisLease::lost_at() const noexcept {
  return confirmed_at_ + (lasts_ - margin(lasts_)).count();
}

std::optional<int64_t> RedisLease::next_tick() const noexcept {
  if (over_) return std::nullopt;
  int64_t next = asked_at_ != 0 ? asked_at_ + kCommandTimeout.count() : next_renewal_;
  if (!lost_reported_) next = std::min(next, lost_at());
  if (asked_at_ == 0 && client_->connection() != nullptr) next = std::min(next, next_listen_);
  return next;
}

int RedisLease::tick_fd() const noexcept {
  const Connection* connection = over_ ? nullptr : client_->connection();
  return connection != nullptr ? connection->fd() : -1;
}

void RedisLease::schedule_renewal() noexcept {
  int64_t interval = renewal_interval(address_.lease);
  if (deaf_) interval = std::min(interval, kDeafInterval.count());
  next_renewal_ = confirmed_at_ + interval;
}

Lease::State RedisLease::tick() noexcept {
  if (over_) return State::held;
  try {
    // Also what nobody asked for: the end of the connection, so that a new one is made in time.
    if (client_->connection() != nullptr) read_answer();
    const int64_t now = util::boottime_ns();
    if (expiry_ && now >= admitted_at_ + expiry_->count()) {
      over_ = true;
      return State::held;
    }
    if (asked_at_ != 0 && now >= asked_at_ + kCommandTimeout.count()) {
      client_->disconnect();
      throw Failure(Failure::Kind::broken, "no answer in time");
    }
    if (!over_ && asked_at_ == 0 && now >= next_renewal_) {
      renew();
    } else if (!over_ && asked_at_ == 0 && now >= next_listen_ &&
               client_->connection() != nullptr) {
      listen();
    }
  } catch (const Failure& failure) {
    failed(failure);
  } catch (const std::exception& error) {
    failed(Failure(Failure::Kind::broken, error.what()));
  }
  if (news_) return *std::exchange(news_, std::nullopt);
  if (over_ && !lost_for_good_) return State::held;
  if (!lost_reported_ && (lost_for_good_ || util::boottime_ns() >= lost_at())) {
    lost_reported_ = true;
    return State::lost;
  }
  return State::held;
}

void RedisLease::renew() {
  const int64_t now = util::boottime_ns();
  util::Duration time = milliseconds(1000);
  // Not past the moment when --on-lost has to act.
  if (!lost_reported_)
    time = std::clamp<util::Duration>(util::Duration(lost_at() - now), milliseconds(1), time);
  asked_at_ = now;
  books_.send_keep(*client_, grant_.id, epoch_, address_.lease, record_,
                   {util::monotonic_now() + time, nullptr});
  read_answer();
}

// Once for each connection and renewal: the answer to it is waited for by nobody.
void RedisLease::listen() {
  next_listen_ = std::numeric_limits<int64_t>::max();
  Connection& connection = *client_->connection();
  connection.listen(books_.keys().mark(grant_.id));
  connection.flush({util::monotonic_now() + kFirstPause, nullptr});
  read_answer();
}

void RedisLease::read_answer() {
  if (asked_at_ == 0) {
    // Throws when the connection has ended.
    static_cast<void>(client_->connection()->try_receive());
  } else if (const auto reply = client_->try_answer()) {
    digest(Books::keep_answer(*reply));
  }
  Connection* const connection = client_->connection();
  if (connection == nullptr) return;
  obey(connection->heard());
  if (connection->deaf() && !deaf_) {
    deaf_ = true;
    schedule_renewal();
  }
}

// What somebody has decided about our slot.
void RedisLease::obey(const std::string& text) {
  const Mark mark = parse_mark(text);
  if (mark.given_back) {
    over_ = true;
    news_ = State::released;
  }
  if (mark.end_command && !taken_) {
    taken_ = true;
    kill_after_ = mark.kill_after;
    news_ = State::taken;
  }
}

void RedisLease::digest(const KeepAnswer& answer) {
  const int64_t asked_at = asked_at_;
  asked_at_ = 0;
  pause_ = kFirstPause;
  obey(answer.mark);
  if (over_) return;
  switch (answer.kind) {
    case KeepAnswer::Kind::ended:
      over_ = true;
      return;
    case KeepAnswer::Kind::lost:
      over_ = lost_for_good_ = true;
      return;
    case KeepAnswer::Kind::again:
      util::error(key_ +
                  ": the store lost its data; the slot of the running command was taken "
                  "again, perhaps beside others");
      break;
    case KeepAnswer::Kind::kept:
      if (lost_reported_) util::message(key_ + ": the lease is held again");
      break;
  }
  epoch_ = answer.epoch;
  confirmed_at_ = asked_at;
  lasts_ = address_.lease;
  lost_reported_ = false;
  schedule_renewal();
  if (!deaf_) next_listen_ = std::max(asked_at, admitted_at_ + kFirstMoment.count());
}

void RedisLease::failed(const Failure& failure) noexcept {
  client_->disconnect();
  asked_at_ = 0;
  try {
    util::explain(key_ + ": the lease was not renewed: " + failure.what());
  } catch (const std::bad_alloc&) {
    // Only words.
  }
  next_renewal_ = util::boottime_ns() + pause_.count();
  pause_ = std::min(pause_ * 2, kLongestPause);
}

void RedisLease::release() {
  over_ = true;
  const Limit limit{util::monotonic_now() + kReleaseTime, nullptr};
  util::Duration pause = milliseconds(20);
  std::vector<std::string> pending;
  client_->undo_with(kFree, books_.keys(), books_.free_arguments(grant_.id));
  while (true) {
    try {
      // A renewal that is under way has to be done before, or it would take the slot again.
      if (asked_at_ != 0 && client_->connection() != nullptr) {
        asked_at_ = 0;
        static_cast<void>(client_->answer(limit));
      }
      pending = books_.free(*client_, grant_.id, limit);
      break;
    } catch (const Failure& failure) {
      if (failure.kind == Failure::Kind::denied || (limit.within(pause)).until == limit.until) {
        throw StoreError(key_ + ": the slot could not be given back, and ends with its lease: " +
                         failure.what());
      }
      sleep_until(limit.within(pause));
      pause = std::min(pause * 2, kFirstPause);
    }
  }
  client_->forget_undo();
  try {
    books_.settle(*client_, pending, limit);
  } catch (const Failure&) {
    // The slot was given back; who waits looks again by itself.
  }
}

}  // namespace cachify::store::redis

#include "store/redis/map_record.h"

#include <algorithm>
#include <utility>

#include "store/redis/failure.h"
#include "store/redis/random.h"
#include "util/log.h"

namespace cachify::store::redis {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kFirstMoment = milliseconds(50);
constexpr util::Duration kChangeInterval = seconds(2);
constexpr util::Duration kRefreshInterval = seconds(5);
constexpr util::Duration kShown = seconds(15);  // scripts/map.lua
constexpr util::Duration kSendTime = milliseconds(300);
constexpr util::Duration kForgetTime = milliseconds(500);
constexpr util::Duration kFirstLook = milliseconds(2);
constexpr util::Duration kLongestPause = seconds(30);

}  // namespace

RedisMapRecord::RedisMapRecord(const Address& address, Books books, Who who)
    : books_(std::move(books)),
      who_(std::move(who)),
      client_(address),
      began_(util::monotonic_now()),
      not_before_(began_ + kFirstMoment),
      refresh_(kNever),
      pause_(kChangeInterval) {}

RedisMapRecord::~RedisMapRecord() {
  const util::MonotonicTime now = util::monotonic_now();
  if (id_.empty() || now >= sent_ + kShown) return;
  const Limit limit{now + kForgetTime, nullptr};
  // The connection may have ended since it was used last; the second time it is a new one.
  for (int tries = 0; tries < 2; ++tries) {
    try {
      // What is under way has to be done before, or it would be shown again.
      if (std::exchange(awaited_, false)) static_cast<void>(client_.answer(limit));
      books_.forget_map(client_, id_, limit);
      return;
    } catch (const std::exception&) {
      // Failed twice, it is shown for some seconds more.
    }
  }
}

void RedisMapRecord::update(const MapFigures& figures) noexcept {
  differs_ = shown_ != figures;
  const util::MonotonicTime now = util::monotonic_now();
  try {
    if (awaited_) read_answer(now);
    if (!awaited_ && ((differs_ && now >= not_before_) || now >= refresh_)) send(figures, now);
  } catch (const std::exception& error) {
    failed(error.what(), now);
  }
}

void RedisMapRecord::send(const MapFigures& figures, util::MonotonicTime now) {
  if (id_.empty()) id_ = random_id();
  sent_ = now;
  books_.send_map(client_, id_, since_, now - began_, figures, who_, {now + kSendTime, nullptr});
  awaited_ = true;
  shown_ = figures;
  differs_ = false;
  look_pause_ = kFirstLook;
  look_for_answer_ = now + look_pause_;
}

// An answer may also be that the script is unknown, and has to be sent.
void RedisMapRecord::read_answer(util::MonotonicTime now) {
  if (const auto reply = client_.try_answer()) {
    since_ = Books::map_answer(*reply);
    awaited_ = false;
    pause_ = kChangeInterval;
    not_before_ = sent_ + kChangeInterval;
    refresh_ = sent_ + kRefreshInterval;
  } else if (now >= sent_ + kCommandTimeout) {
    throw Failure(Failure::Kind::broken, "no answer in time");
  } else if (now >= look_for_answer_) {
    look_pause_ = std::min<util::Duration>(look_pause_ * 4, milliseconds(500));
    look_for_answer_ = now + look_pause_;
  }
}

void RedisMapRecord::failed(const char* why, util::MonotonicTime now) noexcept {
  client_.disconnect();
  awaited_ = false;
  shown_.reset();
  differs_ = true;
  refresh_ = kNever;
  not_before_ = now + pause_;
  pause_ = std::min(pause_ * 2, kLongestPause);
  try {
    util::explain(std::string("the figures of this map cannot be shown to others: ") + why);
  } catch (const std::bad_alloc&) {
    // Only words.
  }
}

std::optional<util::MonotonicTime> RedisMapRecord::next_update() const noexcept {
  if (awaited_) return look_for_answer_;
  const util::MonotonicTime next = differs_ ? std::min(not_before_, refresh_) : refresh_;
  if (next == kNever) return std::nullopt;
  return next;
}

}  // namespace cachify::store::redis

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
constexpr char kChangeMessage = 'C';  // scripts/set.lua

}  // namespace

RedisMapRecord::RedisMapRecord(const Address& address, Books books, Who who)
    : books_(std::move(books)),
      who_(std::move(who)),
      client_(address),
      began_(util::monotonic_now()),
      not_before_(began_ + kFirstMoment),
      refresh_(kNever),
      pause_(kChangeInterval),
      ear_(address),
      settings_(" ") {}

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
  const Limit limit{now + kSendTime, nullptr};
  // First: whoever finds us there then reaches us. What came before the answer tells.
  if (ear_.connection() == nullptr && !deaf_) subscribe(limit);
  books_.send_map(client_, id_, since_, now - began_, figures, who_, limit);
  listening_ = ear_.connection() != nullptr;
  awaited_ = true;
  shown_ = figures;
  differs_ = false;
  look_pause_ = kFirstLook;
  look_for_answer_ = now + look_pause_;
}

// An answer may also be that the script is unknown, and has to be sent.
void RedisMapRecord::read_answer(util::MonotonicTime now) {
  if (const auto reply = client_.try_answer()) {
    const Books::MapAnswer answer = Books::map_answer(*reply);
    since_ = answer.since;
    if (answer.waiting > 0) news_ = std::max(news_, News::arrival);
    if (answer.settings != settings_) news_ = News::change;
    settings_ = answer.settings;
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

// Without it somebody looks from time to time.
void RedisMapRecord::subscribe(const Limit& limit) noexcept {
  try {
    Connection& connection = ear_.connect(limit);
    if (connection.subscribe(books_.keys().maps(), limit)) return;
    deaf_ = connection.deaf();
    stop_listening();
  } catch (const std::exception&) {
    stop_listening();
  }
}

void RedisMapRecord::stop_listening() noexcept {
  ear_.disconnect();
  listening_ = false;
}

MapRecord::News RedisMapRecord::news() noexcept {
  if (!listening_) return News::unheard;
  try {
    Connection& connection = *ear_.connection();
    static_cast<void>(connection.try_receive());
    const std::string heard = connection.heard();
    if (!heard.empty()) news_ = std::max(news_, News::arrival);
    if (heard.find(kChangeMessage) != std::string::npos) news_ = News::change;
  } catch (const std::exception&) {
    stop_listening();
    return News::unheard;
  }
  return std::exchange(news_, News::none);
}

int RedisMapRecord::news_fd() const noexcept {
  return listening_ ? ear_.connection()->fd() : -1;
}

void RedisMapRecord::failed(const char* why, util::MonotonicTime now) noexcept {
  stop_listening();
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

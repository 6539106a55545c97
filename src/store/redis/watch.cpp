#include "store/redis/watch.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "store/redis/failure.h"
#include "store/redis/random.h"
#include "store/redis/retries.h"

namespace cachify::store::redis {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Also the sign of life; the books forget a watcher after three of them (WATCH in
// scripts/look.lua).
constexpr util::Duration kLookAgain = seconds(20);
// Where much happens: no more than 20 looks a second, after the first few.
constexpr util::Duration kFirstPause = milliseconds(1);
constexpr util::Duration kLongestPause = milliseconds(50);
constexpr util::Duration kFarewell = milliseconds(500);

// Who watches may have something else to look for, which a poke announces: it is asked then, though
// the server has told nothing new.
class Poked : public WaitObserver {
 public:
  Poked(const Watch::Enough& enough, const Situation& situation)
      : enough_(enough), situation_(situation) {}
  bool go_on() override { return !enough_(situation_); }

 private:
  const Watch::Enough& enough_;
  const Situation& situation_;
};

}  // namespace

Watch::Watch(const Address& address, Books books, const Enough& enough,
             const std::optional<util::MonotonicTime>& deadline, run::Interrupts& interrupts)
    : address_(address),
      books_(std::move(books)),
      enough_(enough),
      limit_{deadline.value_or(kNever), &interrupts},
      client_(address),
      pause_(kFirstPause) {}

bool Watch::run() {
  bool reached = false;
  try {
    // Most questions are answered by the first look, which changes nothing.
    Picture picture = look(true);
    while (!(reached = is_enough(picture.situation)) && !limit_.passed()) {
      bool woken = false;
      if (id_.empty()) {
        id_ = random_id();
      } else {
        woken = sleep(picture);
      }
      // The dead announce nothing.
      picture = look(!woken);
    }
  } catch (const Interrupted&) {
    // That is what false says, unless it was a poke.
    reached = !limit_.interrupts->caught();
    client_.disconnect();  // it may be blocked
  }
  leave();
  return reached;
}

bool Watch::is_enough(const Situation& situation) {
  const int64_t begun_us = std::exchange(books_begun_us_, situation.created_us);
  if (begun_us != 0 && begun_us != situation.created_us) {
    in_doubt_until_ = util::monotonic_now() + address_.lease * 2 / 5 + seconds(1);
  }
  return util::monotonic_now() >= in_doubt_until_ && enough_(situation);
}

// An outage is ridden out by who has been told before that the store works.
Picture Watch::look(bool closely) {
  const auto mode = id_.empty() ? Retries::Mode::first : Retries::Mode::queued;
  Retries retries(address_, mode,
                  {mode == Retries::Mode::first ? kNever : limit_.until, limit_.interrupts});
  while (true) {
    try {
      // What is on its way when the time is over counts.
      const Limit limit{std::max(retries.limit().until, util::monotonic_now() + kFarewell),
                        limit_.interrupts};
      return closely ? books_.look_closely(client_, limit, id_) : books_.look(client_, limit, id_);
    } catch (const Failure& failure) {
      retries.after(failure);
    }
  }
}

// Whether something has changed.
bool Watch::sleep(const Picture& picture) {
  const util::MonotonicTime now = util::monotonic_now();
  // A moment later, so that the server's clock agrees.
  const util::Duration next = picture.next_end.value_or(kLookAgain) + milliseconds(2);
  Limit nap = limit_.within(std::min<util::Duration>(next, kLookAgain));
  if (now < in_doubt_until_) nap.until = std::min(nap.until, in_doubt_until_);
  Poked poked(enough_, picture.situation);
  if (now >= in_doubt_until_) nap.observer = &poked;
  std::optional<Reply> woken;
  try {
    Connection& connection = *client_.connection();
    connection.send({"BLPOP", books_.keys().wake_up(id_), "0"});
    connection.flush(nap.within(kCommandTimeout));
    while (!woken && wait_for(connection.fd(), POLLIN, nap)) woken = connection.try_receive();
    if (!woken) {
      client_.disconnect();  // it is blocked; a new one can be used at once
    } else if (woken->is_error()) {
      client_.fail(*woken);
    }
  } catch (const Failure& failure) {
    if (failure.is_final()) give_up(address_, failure);
    client_.disconnect();
  }
  if (util::monotonic_now() - now < kLongestPause) {
    sleep_until(limit_.within(pause_));
    pause_ = std::min(pause_ * 2, kLongestPause);
  } else {
    pause_ = kFirstPause;
  }
  return woken.has_value();
}

// Else the books forget us by themselves, a minute later.
void Watch::leave() noexcept {
  if (id_.empty()) return;
  try {
    const Limit brief{util::monotonic_now() + kFarewell, nullptr};
    client_.command({"ZREM", books_.keys().watchers(), id_}, brief);
    client_.command({"DEL", books_.keys().wake_up(id_)}, brief);
  } catch (...) {
  }
}

}  // namespace cachify::store::redis

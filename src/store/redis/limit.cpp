#include "store/redis/limit.h"

#include <poll.h>

#include <cerrno>

#include "errors.h"
#include "store/redis/failure.h"

namespace cachify::store::redis {

namespace {

// Answers come sooner than this, nearly always; up to then nobody minds that signals are blocked,
// and the handlers of Interrupts need not be made.
constexpr util::Duration kSoon = std::chrono::milliseconds(20);

int poll_for(pollfd* fd, util::Duration duration, const sigset_t* mask) {
  const int64_t ns = std::max<int64_t>(duration.count(), 0);
  const timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
  const int result = ::ppoll(fd, fd != nullptr ? 1 : 0, &timeout, mask);
  if (result < 0 && errno != EINTR) throw OsError("cannot wait for a socket", errno);
  return result;
}

}  // namespace

bool wait_for(int fd, short events, const Limit& limit, bool soon) {
  pollfd waiting{fd, events, 0};
  pollfd* const set = fd >= 0 ? &waiting : nullptr;
  if (limit.interrupts != nullptr && limit.interrupts->caught()) throw Interrupted{};
  if (soon && poll_for(set, std::min(kSoon, limit.until - util::monotonic_now()), nullptr) > 0) {
    return true;
  }
  const sigset_t* mask = limit.interrupts != nullptr ? &limit.interrupts->wait_mask() : nullptr;
  while (true) {
    util::Duration left = limit.until - util::monotonic_now();
    const bool last = left.count() <= 0;
    const auto attend_at = limit.observer != nullptr ? limit.observer->attend_at() : std::nullopt;
    if (attend_at) left = std::min(left, *attend_at - util::monotonic_now());
    const int result = poll_for(set, left, mask);
    if (limit.interrupts != nullptr && limit.interrupts->caught()) throw Interrupted{};
    if (result > 0) return true;
    if (limit.observer != nullptr && !limit.observer->attend()) throw Interrupted{};
    if (last) return false;
  }
}

void sleep_until(const Limit& limit) {
  wait_for(-1, 0, limit, false);
}

}  // namespace cachify::store::redis

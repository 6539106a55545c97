#include "store/redis/limit.h"

#include <poll.h>

#include <array>
#include <cerrno>

#include "errors.h"
#include "store/redis/failure.h"

namespace cachify::store::redis {

namespace {

// Answers come sooner than this, nearly always; up to then nobody minds that signals are blocked,
// and the handlers of Interrupts need not be made.
constexpr util::Duration kSoon = std::chrono::milliseconds(20);

// poll(2) passes over descriptors below 0.
int poll_for(std::array<pollfd, 2>& fds, util::Duration duration, const sigset_t* mask) {
  const int64_t ns = std::max<int64_t>(duration.count(), 0);
  const timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
  const int result = ::ppoll(fds.data(), fds.size(), &timeout, mask);
  if (result < 0 && errno != EINTR) throw OsError("cannot wait for a socket", errno);
  return result;
}

}  // namespace

bool wait_for(int fd, short events, const Limit& limit, int other, bool soon) {
  std::array<pollfd, 2> set{pollfd{fd, events, 0}, pollfd{other, POLLIN, 0}};
  if (limit.interrupts != nullptr && limit.interrupts->caught()) throw Interrupted{};
  if (soon && poll_for(set, std::min(kSoon, limit.until - util::monotonic_now()), nullptr) > 0) {
    return set[0].revents != 0;
  }
  const sigset_t* mask = limit.interrupts != nullptr ? &limit.interrupts->wait_mask() : nullptr;
  while (true) {
    util::Duration left = limit.until - util::monotonic_now();
    const bool last = left.count() <= 0;
    const auto look = limit.observer != nullptr ? limit.observer->next_look() : std::nullopt;
    if (look) left = std::min(left, util::Duration(*look - util::boottime_ns()));
    const int result = poll_for(set, left, mask);
    if (limit.interrupts != nullptr && limit.interrupts->caught()) throw Interrupted{};
    if (result > 0) return set[0].revents != 0;
    if (limit.observer != nullptr && !limit.observer->go_on()) throw Interrupted{};
    if (last) return false;
  }
}

void sleep_until(const Limit& limit) {
  wait_for(-1, 0, limit, -1, false);
}

}  // namespace cachify::store::redis

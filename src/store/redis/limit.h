#pragma once

#include <algorithm>
#include <limits>

#include "run/interrupts.h"
#include "store/store.h"
#include "util/time.h"

namespace cachify::store::redis {

inline constexpr util::MonotonicTime kNever{std::numeric_limits<int64_t>::max() / 2};

// How long something may take, and whether signals end it.
struct Limit {
  util::MonotonicTime until;
  run::Interrupts* interrupts = nullptr;  // nullptr: signals stay blocked
  WaitObserver* observer = nullptr;       // with interrupts: who has other work to do meanwhile

  Limit within(util::Duration duration) const {
    return {std::min(until, util::monotonic_now() + duration), interrupts, observer};
  }
  bool passed() const { return util::monotonic_now() >= until; }
};

// Any command's answer has to come within this.
inline constexpr util::Duration kCommandTimeout = std::chrono::seconds(2);

// poll(2) on one descriptor. False: the limit passed, or `other` became readable before. Throws
// Interrupted. `soon`: what is waited for comes soon, so signals may stay blocked for an instant.
bool wait_for(int fd, short events, const Limit& limit, int other = -1, bool soon = true);
// Sleeps until the limit. Throws Interrupted.
void sleep_until(const Limit& limit);

}  // namespace cachify::store::redis

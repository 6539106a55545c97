#pragma once

#include <cstdint>
#include <limits>

#include "util/time.h"

namespace cachify::run {

// So long from now; the end of time for durations that are longer than the clock.
inline util::MonotonicTime deadline_after(util::Duration duration) noexcept {
  const util::MonotonicTime now = util::monotonic_now();
  if (duration.count() > std::numeric_limits<int64_t>::max() - now.ns) {
    return {std::numeric_limits<int64_t>::max()};
  }
  return now + duration;
}

}  // namespace cachify::run

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace cachify::util {

using Duration = std::chrono::nanoseconds;

// CLOCK_MONOTONIC, for waiting times: stands still while the machine sleeps, never jumps.
struct MonotonicTime {
  int64_t ns = 0;
  friend auto operator<=>(const MonotonicTime&, const MonotonicTime&) = default;
};
MonotonicTime monotonic_now() noexcept;
inline MonotonicTime operator+(MonotonicTime t, Duration d) noexcept {
  return {t.ns + d.count()};
}
inline Duration operator-(MonotonicTime a, MonotonicTime b) noexcept {
  return Duration(a.ns - b.ns);
}

// CLOCK_BOOTTIME in ns, for leases and expiries: goes on while the machine sleeps.
int64_t boottime_ns() noexcept;
// CLOCK_REALTIME in us since the epoch, for the eyes of people and for fences.
int64_t realtime_us() noexcept;

}  // namespace cachify::util

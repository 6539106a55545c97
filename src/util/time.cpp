#include "util/time.h"

#include <ctime>

namespace cachify::util {

namespace {

int64_t read_clock(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

MonotonicTime monotonic_now() noexcept {
  return {read_clock(CLOCK_MONOTONIC)};
}

int64_t boottime_ns() noexcept {
  return read_clock(CLOCK_BOOTTIME);
}

int64_t realtime_us() noexcept {
  return read_clock(CLOCK_REALTIME) / 1000;
}

}  // namespace cachify::util

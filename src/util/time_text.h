#pragma once

#include <cstdint>
#include <string>

#include "util/time.h"

namespace cachify::util {

// A span as people say it: "3m12s", "2s", "1.5s", "2h5m"; at most two units.
std::string span_text(Duration span);

// Seconds with three decimals, for programs: "2.000", as CACHIFY_WAITED has them.
std::string seconds_text(Duration span);

// A time of the wall clock as RFC 3339 has it, in UTC: "2026-11-21T12:03:04.123Z".
std::string rfc3339(int64_t realtime_us);

// The same for people beside the screen, in their time zone: "12:03:04".
std::string clock_text(int64_t realtime_us);

}  // namespace cachify::util

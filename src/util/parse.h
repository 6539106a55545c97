#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "util/time.h"

// Strict readers of values: all of the text, nothing but the text. nullopt: it does not fit.
namespace cachify::util {

// Decimal digits with an optional minus, within the bounds.
std::optional<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max) noexcept;

// `90`, `1.5`, `.5` (seconds), `200ms`, `90s`, `5m`, `2h`, `1d`; up to kLongest. What is more
// than nothing stays more than nothing, however small.
std::optional<Duration> parse_duration(std::string_view text) noexcept;
inline constexpr Duration kLongest = std::chrono::hours(24 * 36500);
inline constexpr std::string_view kDurationForms =
    "a duration such as 90, 1.5, 200ms, 90s, 5m, 2h or 1d";

// 1, true, yes or 0, false, no.
std::optional<bool> parse_switch(std::string_view text) noexcept;
inline constexpr std::string_view kSwitchForms = "1, true, yes or 0, false, no";

}  // namespace cachify::util

#include "util/parse.h"

#include <charconv>

namespace cachify::util {

namespace {

struct Unit {
  std::string_view name;
  int64_t ns;
};
constexpr int64_t kSecond = 1'000'000'000;
constexpr Unit kUnits[] = {{"", kSecond},       {"ms", kSecond / 1000}, {"s", kSecond},
                           {"m", 60 * kSecond}, {"h", 3600 * kSecond},  {"d", 86400 * kSecond}};

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) noexcept {
  size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

// `0.DIGITS` times `unit`, rounded up to whole ns.
int64_t fraction_of(std::string_view digits, int64_t unit) noexcept {
  constexpr size_t kExact = 9;
  int64_t billionths = 0;
  for (size_t i = 0; i < kExact; ++i)
    billionths = billionths * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  bool rest = digits.find_first_not_of('0', kExact) != std::string_view::npos;
  if (unit >= kSecond) return billionths * (unit / kSecond) + (rest ? 1 : 0);
  const int64_t divisor = kSecond / unit;
  rest = rest || billionths % divisor != 0;
  return billionths / divisor + (rest ? 1 : 0);
}

}  // namespace

std::optional<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max) noexcept {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stop != end || value < min || value > max) return std::nullopt;
  return value;
}

std::optional<Duration> parse_duration(std::string_view text) noexcept {
  const std::string_view whole = take_digits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty()) return std::nullopt;
  } else if (whole.empty()) {
    return std::nullopt;
  }
  for (const Unit& unit : kUnits) {
    if (text != unit.name) continue;
    const auto count = parse_integer(whole.empty() ? "0" : whole, 0, kLongest.count() / unit.ns);
    if (!count) return std::nullopt;
    const Duration result(*count * unit.ns + fraction_of(fraction, unit.ns));
    if (result > kLongest) return std::nullopt;
    return result;
  }
  return std::nullopt;
}

std::optional<bool> parse_switch(std::string_view text) noexcept {
  if (text == "1" || text == "true" || text == "yes") return true;
  if (text == "0" || text == "false" || text == "no") return false;
  return std::nullopt;
}

}  // namespace cachify::util

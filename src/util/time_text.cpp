#include "util/time_text.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace cachify::util {

std::string span_text(Duration span) {
  using std::chrono::duration_cast;
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  constexpr std::array<Unit, 4> units{{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}}};
  const int64_t ms = duration_cast<std::chrono::milliseconds>(span).count();
  if (ms < 1000) return ms == 0 ? "0s" : std::to_string(ms) + "ms";
  const int64_t total = ms / 1000;
  if (total < 60 && ms % 1000 != 0) {
    std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    return std::to_string(total) + "." + fraction + "s";
  }
  for (size_t i = 0; i + 1 < units.size(); ++i) {
    if (total < units[i].seconds) continue;
    std::string text = std::to_string(total / units[i].seconds) + units[i].name;
    const int64_t rest = total % units[i].seconds / units[i + 1].seconds;
    if (rest != 0) text += std::to_string(rest) + units[i + 1].name;
    return text;
  }
  return std::to_string(total) + "s";
}

std::string seconds_text(Duration span) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  const std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  return std::to_string(ms / 1000) + "." + fraction;
}

std::string rfc3339(int64_t realtime_us) {
  const time_t seconds = realtime_us / 1'000'000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text.data() + size, text.size() - size, ".%03dZ",
                static_cast<int>(realtime_us % 1'000'000 / 1000));
  return text.data();
}

std::string clock_text(int64_t realtime_us) {
  const time_t seconds = realtime_us / 1'000'000;
  tm parts{};
  ::localtime_r(&seconds, &parts);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return text.data();
}

}  // namespace cachify::util

#include "store/redis/record.h"

#include <charconv>

#include "util/text.h"

namespace cachify::store::redis {

namespace {

constexpr size_t kLongestCommand = 187;  // as much as the file store shows
constexpr size_t kLongestName = 64;

std::string word(std::string_view text) {
  std::string result;
  for (const char c : util::cut(text, kLongestName)) {
    if (c == ' ') {
      result += "%20";
    } else if (c == '%') {
      result += "%25";
    } else {
      result += c;
    }
  }
  return result.empty() ? "-" : result;
}

std::string unword(std::string_view text) {
  if (text == "-") return {};
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = text.substr(i, 3);
    if (escape == "%20" || escape == "%25") {
      result += escape == "%20" ? ' ' : '%';
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

[[noreturn]] void damaged() {
  throw DamagedRecord();
}

}  // namespace

std::string_view next_word(std::string_view& text) {
  const size_t end = text.find(' ');
  if (end == std::string_view::npos) damaged();
  const std::string_view result = text.substr(0, end);
  text.remove_prefix(end + 1);
  return result;
}

template <class Number>
Number next_number(std::string_view& text) {
  const std::string_view digits = next_word(text);
  Number number{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) damaged();
  return number;
}

template int64_t next_number<int64_t>(std::string_view& text);

std::string text_of(const Who& who, uint64_t pid_namespace) {
  return std::to_string(who.pid) + " " + std::to_string(who.uid) + " " +
         std::to_string(pid_namespace) + " " + word(who.user) + " " + word(who.host) + " " +
         std::string(util::cut(who.command, kLongestCommand));
}

WhoRecord parse_who(std::string_view text) {
  WhoRecord record;
  record.who.pid = next_number<int32_t>(text);
  record.who.uid = next_number<uint32_t>(text);
  record.pid_namespace = next_number<uint64_t>(text);
  record.who.user = unword(next_word(text));
  record.who.host = unword(next_word(text));
  record.who.command = text;
  return record;
}

Record parse_record(std::string_view text) {
  Record record;
  record.fence = next_number<uint64_t>(text);
  record.since_us = next_number<int64_t>(text);
  record.hard_end_us = next_number<int64_t>(text);
  const std::string_view slots = next_word(text);
  if (!slots.starts_with('-')) {
    const auto [end, error] =
        std::from_chars(slots.data(), slots.data() + slots.size(), record.slot);
    if (error != std::errc()) damaged();
  }
  record.weight = next_number<int64_t>(text);
  record.shared = next_number<int>(text) == 1;
  record.max = next_number<int64_t>(text);
  next_word(text);  // expiry
  record.who = parse_who(text);
  return record;
}

std::string text_of(const MapFigures& figures) {
  return std::to_string(figures.queued) + " " + std::to_string(figures.running) + " " +
         std::to_string(figures.done) + " " + std::to_string(figures.failed) + " " +
         std::to_string(figures.idle);
}

MapInfo parse_map(std::string_view text) {
  MapInfo map;
  map.since_us = next_number<int64_t>(text);
  map.figures.queued = next_number<int64_t>(text);
  map.figures.running = next_number<int64_t>(text);
  map.figures.done = next_number<int64_t>(text);
  map.figures.failed = next_number<int64_t>(text);
  map.figures.idle = next_number<int64_t>(text);
  map.who = parse_who(text).who;
  return map;
}

}  // namespace cachify::store::redis

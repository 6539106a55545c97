#include "show/look.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "util/text.h"

namespace cachify::show {

namespace {

constexpr size_t kUsualWidth = 80;

struct Range {
  uint32_t first;
  uint32_t last;
};

// The C library's wcwidth() wants a locale's files, which need not be there. These are the ranges
// that occur in names and commands; an unknown character counts as one column.
constexpr std::array kNoColumn = {
    Range{0x0300, 0x036f},   Range{0x0483, 0x0489}, Range{0x0591, 0x05bd}, Range{0x0610, 0x061a},
    Range{0x064b, 0x065f},   Range{0x0e34, 0x0e3a}, Range{0x0e47, 0x0e4e}, Range{0x1ab0, 0x1aff},
    Range{0x1dc0, 0x1dff},   Range{0x200b, 0x200d}, Range{0x2060, 0x2064}, Range{0x20d0, 0x20ff},
    Range{0xfe00, 0xfe0f},   Range{0xfe20, 0xfe2f}, Range{0xfeff, 0xfeff}, Range{0x1f3fb, 0x1f3ff},
    Range{0xe0100, 0xe01ef},
};
constexpr std::array kTwoColumns = {
    Range{0x1100, 0x115f},   Range{0x231a, 0x231b},   Range{0x2329, 0x232a},
    Range{0x23e9, 0x23ec},   Range{0x2614, 0x2615},   Range{0x26a1, 0x26a1},
    Range{0x2705, 0x2705},   Range{0x274c, 0x274c},   Range{0x2753, 0x2755},
    Range{0x2757, 0x2757},   Range{0x2795, 0x2797},   Range{0x2b50, 0x2b50},
    Range{0x2e80, 0x303e},   Range{0x3041, 0xa4cf},   Range{0xa960, 0xa97f},
    Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},   Range{0xfe30, 0xfe6f},
    Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},   Range{0x1f300, 0x1f64f},
    Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1f9ff}, Range{0x1fa70, 0x1faff},
    Range{0x20000, 0x3fffd},
};

template <size_t N>
bool is_in(const std::array<Range, N>& ranges, uint32_t point) noexcept {
  return std::any_of(ranges.begin(), ranges.end(), [point](const Range& range) {
    return point >= range.first && point <= range.last;
  });
}

// Of one valid sequence.
uint32_t code_point(std::string_view character) noexcept {
  auto point = static_cast<uint32_t>(static_cast<uint8_t>(character[0]));
  if (character.size() > 1) point &= 0x7fU >> character.size();
  for (const char c : character.substr(1)) point = point << 6U | (static_cast<uint8_t>(c) & 0x3fU);
  return point;
}

size_t width_of(std::string_view character) noexcept {
  if (character.size() == 1) return 1;
  const uint32_t point = code_point(character);
  if (is_in(kNoColumn, point)) return 0;
  return is_in(kTwoColumns, point) ? 2 : 1;
}

// One byte and one column a character: most texts are, and need no closer look.
bool is_plain(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// The first character of a text, or its first byte where that is none.
std::string_view first_of(std::string_view text) noexcept {
  return text.substr(0, std::max<size_t>(util::utf8_length(text), 1));
}

// A mark that makes what follows it stand elsewhere: a command could pretend to be another one.
bool turns_writing(std::string_view character) noexcept {
  if (character.size() != 3) return false;
  const uint32_t point = code_point(character);
  return point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069);
}

std::string_view sequence_of(Paint paint) noexcept {
  switch (paint) {
    case Paint::strong:
      return "\x1b[1m";
    case Paint::faint:
      return "\x1b[2m";
    case Paint::good:
      return "\x1b[32m";
    case Paint::doubtful:
      return "\x1b[33m";
    case Paint::bad:
      return "\x1b[31m";
    case Paint::plain:
      break;
  }
  return {};
}

// As much of a safe text as so many columns hold.
std::string_view beginning_of(std::string_view text, size_t columns) noexcept {
  if (is_plain(text)) return text.substr(0, columns);
  size_t size = 0;
  while (size < text.size()) {
    const std::string_view character = first_of(text.substr(size));
    const size_t width = width_of(character);
    if (width > columns) break;
    columns -= width;
    size += character.size();
  }
  return text.substr(0, size);
}

std::string_view variable(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

}  // namespace

bool can_draw() {
  return ::isatty(STDOUT_FILENO) == 1 && !variable("TERM").empty() && variable("TERM") != "dumb";
}

Look look_of_output() {
  if (::isatty(STDOUT_FILENO) != 1) return {};
  Look look;
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0;
  look.width = known ? size.ws_col : kUsualWidth;
  look.colour = can_draw() && variable("NO_COLOR").empty();
  return look;
}

std::string safe(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::string_view character = first_of(text);
    const bool is_utf8 = util::utf8_length(character) != 0;
    if (!is_utf8 || util::is_control(character) || turns_writing(character)) {
      for (const char c : character) result += util::Escaped(c).text();
    } else {
      result += character;
    }
    text.remove_prefix(character.size());
  }
  return result;
}

size_t columns_of(std::string_view text) noexcept {
  if (is_plain(text)) return text.size();
  size_t columns = 0;
  while (!text.empty()) {
    const std::string_view character = first_of(text);
    columns += width_of(character);
    text.remove_prefix(character.size());
  }
  return columns;
}

std::string rendered(const Line& line, const Look& look) {
  Line shown;
  size_t columns = 0;
  for (const Span& span : line) {
    shown.push_back({safe(span.text), span.paint});
    columns += columns_of(shown.back().text);
  }
  const bool too_wide = look.width && columns > *look.width;
  std::string_view end = "...";
  if (too_wide) end = end.substr(0, *look.width);
  size_t room = too_wide ? *look.width - end.size() : columns;

  std::string result;
  for (Span& span : shown) {
    const std::string_view text = beginning_of(span.text, room);
    room -= columns_of(text);
    const bool is_last = too_wide && text.size() < span.text.size();
    const std::string_view start = look.colour ? sequence_of(span.paint) : std::string_view();
    result.append(start).append(text).append(is_last ? end : std::string_view());
    if (!start.empty()) result.append("\x1b[0m");
    if (is_last) break;
  }
  return result;
}

std::vector<std::string> wrapped(const Span& span, const Look& look) {
  const std::string shown = safe(span.text);
  std::string_view rest = shown;
  std::vector<std::string> lines;
  do {
    std::string_view piece = look.width ? beginning_of(rest, *look.width) : rest;
    if (piece.empty()) piece = first_of(rest);  // wider than the place
    lines.push_back(rendered({{std::string(piece), span.paint}}, look));
    rest.remove_prefix(std::min(piece.size(), rest.size()));
  } while (!rest.empty());
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  return text;
}

}  // namespace cachify::show

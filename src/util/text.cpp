#include "util/text.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "util/secret.h"

namespace cachify::util {

size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (text.empty()) return 0;
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f)) return 0;
  if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) return 0;
  return length;
}

std::string_view cut(std::string_view text, size_t limit) noexcept {
  if (text.size() <= limit) return text;
  // A sequence has four bytes at most, so one that the limit splits starts in the last three.
  for (size_t start = limit; start > 0 && limit - start < 3;) {
    --start;
    const auto byte = static_cast<uint8_t>(text[start]);
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    if (start + utf8_length(text.substr(start)) > limit) return text.substr(0, start);
    break;
  }
  return text.substr(0, limit);
}

bool is_control(std::string_view character) noexcept {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || (first >= 0x7f && first < 0xa0);
  return character.size() == 2 && first == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;
}

Escaped::Escaped(char byte) noexcept : text_{'\\', byte, 0, 0}, size_(2) {
  constexpr char kHex[] = "0123456789abcdef";
  if (byte == '\n') {
    text_[1] = 'n';
  } else if (byte == '\t') {
    text_[1] = 't';
  } else if (byte == '\r') {
    text_[1] = 'r';
  } else {
    text_[1] = 'x';
    text_[2] = kHex[static_cast<uint8_t>(byte) >> 4];
    text_[3] = kHex[static_cast<uint8_t>(byte) & 15];
    size_ = 4;
  }
}

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string clean;
  if (has_password(text)) text = clean = without_passwords(text);
  std::string result = "'";
  result += cut(text, kShown);
  result += text.size() > kShown ? "...'" : "'";
  return result;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace cachify::util

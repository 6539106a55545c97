#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cachify::util {

// The length of the valid UTF-8 sequence at the start of `text`; 0 when there is none.
size_t utf8_length(std::string_view text) noexcept;

// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence.
std::string_view cut(std::string_view text, size_t limit) noexcept;

// Whether a terminal would act on this character (one of UTF-8, or a byte that is none) instead of
// showing it: C0, DEL, and C1, be it as U+0080 to U+009F or as bare bytes.
bool is_control(std::string_view character) noexcept;

// A byte as it is shown instead: \n, \t, \r, \x1b. Needs no memory.
class Escaped {
 public:
  explicit Escaped(char byte) noexcept;
  std::string_view text() const noexcept { return {text_, size_}; }

 private:
  char text_[4];
  size_t size_;
};

// 'text' for a message, cut to what fits in a line, without passwords.
std::string quoted(std::string_view text);

// Edits (insert, delete, replace, swap neighbours) that turn one word into the other.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace cachify::util

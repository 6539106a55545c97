#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cachify::util {

// The length of the valid UTF-8 sequence at the start of `text`; 0 when there is none.
size_t utf8_length(std::string_view text) noexcept;

// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence.
std::string_view cut(std::string_view text, size_t limit) noexcept;

// 'text' for a message, cut to what fits in a line.
std::string quoted(std::string_view text);

// Edits (insert, delete, replace, swap neighbours) that turn one word into the other.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace cachify::util

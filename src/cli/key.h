#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cachify::cli {

inline constexpr size_t kLongestKey = 512;

using NamedValues = std::vector<std::pair<std::string, std::string>>;

// Fills a key's format string: `{name}` from `named` (the last of that name), `{0}` is COMMAND and
// `{1}`... its arguments, `{{` and `}}` are literal. What is filled in is not looked at again.
// Throws UsageError: a field that nothing fills, a lone brace, a key that is empty or too long.
std::string resolve_key(std::string_view format, const NamedValues& named,
                        const std::vector<std::string>& command);

// A letter or `_`, then letters, digits and `_`.
bool is_field_name(std::string_view text) noexcept;

}  // namespace cachify::cli

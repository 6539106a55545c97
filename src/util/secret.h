#pragma once

#include <span>
#include <string>
#include <string_view>

// Passwords in URLs, SCHEME://USER:PASSWORD@HOST, wherever in a text they stand.
namespace cachify::util {

// The text with *** in their place.
std::string without_passwords(std::string_view text);

// Whether there is one.
bool has_password(std::string_view text) noexcept;

// Overwrites them where they stand, keeping the length. For argv, which ps shows.
void blot_out_passwords(std::span<char> text) noexcept;

}  // namespace cachify::util

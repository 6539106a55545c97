#pragma once

#include <span>
#include <string>
#include <string_view>

// Passwords in URLs, SCHEME://USER:PASSWORD@HOST, wherever in a text they stand.
namespace cachify::util {

// Of a word that was given as a URL, a password may have blanks; in a line of many words a URL of
// ours ends there.
enum class Among { words, one_word };

// The text with *** in their place.
std::string without_passwords(std::string_view text, Among among = Among::words);

// Whether there is one.
bool has_password(std::string_view text, Among among = Among::words) noexcept;

// Overwrites them where they stand, keeping the length. For argv, which ps shows.
void blot_out_passwords(std::span<char> word) noexcept;

}  // namespace cachify::util

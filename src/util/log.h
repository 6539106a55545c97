#pragma once

#include <string_view>

// Messages: standard error only, `cachify: TEXT`, one line and one write(2) each, control
// characters shown escaped (\n, \t, \x1b). Failing to write a message is not an error.
namespace cachify::util {

enum class Verbosity { quiet, normal, verbose };
void set_verbosity(Verbosity verbosity) noexcept;
Verbosity verbosity() noexcept;

void error(std::string_view text) noexcept;    // errors of use and of the store: always
void message(std::string_view text) noexcept;  // unless -q
void explain(std::string_view text) noexcept;  // only with -v

}  // namespace cachify::util

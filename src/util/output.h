#pragma once

#include <string_view>

namespace cachify::util {

// Gives standard input, output and error that are closed a descriptor that can be neither read nor
// written and that ends with exec. Otherwise the next file opened would take the number, and what
// is meant for standard output would go into it; COMMAND still gets them closed, as cachify did.
void occupy_closed_standard_descriptors() noexcept;

// All of `text` to standard output. Throws OsError: a full disk must not pass for an empty answer.
void write_output(std::string_view text);

}  // namespace cachify::util

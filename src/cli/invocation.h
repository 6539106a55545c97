#pragma once

#include <span>

#include "run/run.h"

namespace cachify::cli {

// One call of cachify, from the words behind the program's name to how it is to end. Throws Error.
run::Ending invoke(std::span<char* const> arguments);

}  // namespace cachify::cli

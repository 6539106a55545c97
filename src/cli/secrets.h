#pragma once

#include <span>

#include "settings.h"

namespace cachify::cli {

// Where argv lies, which the process keeps for as long as it runs.
void remember_arguments(std::span<char* const> arguments) noexcept;

// To be called once the store is open. When a password is in use: takes it out of what ps shows of
// us, and leaves neither a core file nor a debugger of the same user the memory that it is in.
void guard_secrets(const Settings& settings) noexcept;

}  // namespace cachify::cli

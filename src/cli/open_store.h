#pragma once

#include <memory>
#include <string>

#include "settings.h"
#include "store/store.h"

namespace cachify::cli {

// Opens the store that the settings name. A bad URL is wrong use on the command line, and bad
// configuration where it came from a variable or a file, which is then named.
std::unique_ptr<store::Store> open_store(const Settings& settings);

// The prefix in use: the one that was given, else that of the store's scheme.
std::string prefix_of(const Settings& settings);

}  // namespace cachify::cli

#pragma once

#include <memory>

#include "settings.h"
#include "store/store.h"

namespace cachify::cli {

// Opens the store that the settings name. A bad URL is wrong use on the command line, and bad
// configuration where it came from a variable or a file, which is then named.
std::unique_ptr<store::Store> open_store(const Settings& settings);

}  // namespace cachify::cli

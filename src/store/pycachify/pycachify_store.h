#pragma once

#include <memory>

#include "store/registry.h"

namespace cachify::store {

// The py-cachify+redis://, +rediss://, +redis+unix:// and +redis+sentinel:// stores: README.md in
// pycachify/. Connects when it is first asked.
std::unique_ptr<Store> open_pycachify_store(const OpenOptions& options);

}  // namespace cachify::store

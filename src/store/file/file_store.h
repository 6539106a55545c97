#pragma once

#include <memory>

#include "store/registry.h"
#include "store/store.h"

namespace cachify::store {

// The store of one machine: kernel locks in a directory, no daemon. See file/PROTOCOL.md.
// The URL is `file:` (default directory), `file:DIR` or `file:///DIR`.
std::unique_ptr<Store> open_file_store(const OpenOptions& options);

}  // namespace cachify::store

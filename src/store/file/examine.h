#pragma once

#include <vector>

#include "store/file/directory.h"
#include "store/store.h"

namespace cachify::store::file {

// Store::examine(): what the protocol needs of the directory, its file system and the kernel, tried
// out on a file of its own, which is gone afterwards; and what lies in the directory. Blocks for a
// few seconds at most.
std::vector<Finding> examine(const Directory& directory);

}  // namespace cachify::store::file

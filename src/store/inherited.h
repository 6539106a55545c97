#pragma once

#include <string>

namespace cachify::store {

// Whether this process runs below the command of the slot `id`, as far as CACHIFY_ID tells, which
// names the slots of the innermost one, one to a line.
bool is_inherited(const std::string& id);

}  // namespace cachify::store

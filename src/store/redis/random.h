#pragma once

#include <cstdint>
#include <string>

namespace cachify::store::redis {

// Of the system's generator. Both throw OsError.
uint64_t random_number();
// Sixteen hexadecimal digits, for a holder, waiter or watcher.
std::string random_id();

}  // namespace cachify::store::redis

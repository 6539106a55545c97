#pragma once

#include <cstdint>
#include <string>

#include "util/time.h"

namespace cachify::store::redis {

// Of the system's generator. All throw OsError.
uint64_t random_number();
// 64 bits in thirteen digits and small letters, for a holder, waiter or watcher.
std::string random_id();
// The same in sixteen hexadecimal digits.
std::string random_hex();
// `duration`, up to a quarter of it shorter or longer: so that many who began together do not stay
// together.
util::Duration jittered(util::Duration duration);

}  // namespace cachify::store::redis

#pragma once

#include <cstdint>

#include "util/time.h"

namespace cachify::util {

// 64 bits that nobody can guess. Throws OsError.
uint64_t random_number();

// `duration`, up to a quarter of it shorter or longer: so that many who began together do not stay
// together. Throws OsError.
Duration jittered(Duration duration);

}  // namespace cachify::util

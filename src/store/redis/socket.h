#pragma once

#include "store/redis/address.h"
#include "store/redis/limit.h"
#include "util/unique_fd.h"

namespace cachify::store::redis {

// A connected, non-blocking, close-on-exec socket that is never 0, 1 or 2. A name with several
// addresses is tried through. Throws Failure and Interrupted.
util::UniqueFd connect_to(const Endpoint& endpoint, const Limit& limit);

}  // namespace cachify::store::redis

#pragma once

#include <memory>

#include "store/registry.h"

namespace cachify::store {

// The redis://, rediss://, redis+unix://, redis+sentinel:// and redis+cluster:// stores: README.md
// in redis/. Connects when it is first asked.
std::unique_ptr<Store> open_redis_store(const OpenOptions& options);

}  // namespace cachify::store

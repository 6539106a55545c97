#pragma once

#include <string>
#include <vector>

#include "store/redis/address.h"
#include "store/redis/connection.h"
#include "store/redis/limit.h"
#include "store/store.h"

namespace cachify::store::redis {

// The keys of this prefix that somebody uses, or whose cap or closing is stored, by name. Goes
// through all names of the database (of each master of a cluster), a thousand to a round trip, and
// asks for what it finds in pipelines. Throws StoreError.
std::vector<KeySummary> list_keys(const Address& address, const std::string& prefix, Kind kind);

// The masters of a cluster, as one of its nodes knows them. Throws Failure.
std::vector<Endpoint> masters_of(Connection& node, const Limit& limit);

}  // namespace cachify::store::redis

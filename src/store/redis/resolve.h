#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <vector>

#include "store/redis/address.h"
#include "store/redis/limit.h"

namespace cachify::store::redis {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// The addresses of HOST:PORT, in the order in which to try them; at least one. Numbers and
// "localhost" are read here. Names go to the system's resolver, which keeps no time and cannot be
// interrupted, so it runs in a process of its own that is killed when the limit passes. Throws
// Failure and Interrupted.
std::vector<SocketAddress> resolve(const Endpoint& endpoint, const Limit& limit);

}  // namespace cachify::store::redis

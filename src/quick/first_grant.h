#pragma once

#include "quick/plain_call.h"

namespace cachify::quick {

// Whether the call is for a server that can be reached without looking anything up: an IPv4 address
// or a unix socket, and nothing else in the URL.
bool is_for_redis(const PlainCall& call);

// The first request of store/redis (Books::take) and its answer, if there is one soon. True when a
// slot is held and nothing else is to be done. False: main() goes on, with the connection where the
// request was written; what has come of the answer is in the handover.
bool take_first_grant(const PlainCall& call);

// As see_to_the_end(), for a slot of Redis: RedisLease::release. For the first moment of a command
// only; then the full program has to listen and to renew.
void see_grant_to_its_end(const PlainCall& call);

}  // namespace cachify::quick

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "store/redis/address.h"
#include "store/redis/failure.h"
#include "store/redis/reply.h"

namespace cachify::store::redis {

// What an error of the server means for us.
Failure::Kind kind_of(std::string_view error) noexcept;

// The script is not known there: it has to be sent in full.
bool is_noscript(const Reply& reply) noexcept;

// `MOVED 3999 127.0.0.1:6381`, `ASK ...`: where to go. A host that is left out is `from`'s.
struct Redirection {
  bool ask = false;
  Endpoint endpoint;
};
std::optional<Redirection> redirection(const Reply& reply, const Endpoint& from);

// Somebody has put a value of another type in place of one of ours.
bool is_wrong_type(const Reply& reply) noexcept;

// Throws the Failure for keys, beginning with `base`, that hold what is none of our books.
[[noreturn]] void throw_damaged(const std::string& base);

// Throws the Failure for an error that `from` answered.
[[noreturn]] void throw_failure(const Reply& error, const Endpoint& from);

}  // namespace cachify::store::redis

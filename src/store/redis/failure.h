#pragma once

#include <stdexcept>
#include <string>

namespace cachify::store::redis {

// Why a request has no answer. Never leaves this folder: the store turns it into a StoreError once
// it has decided to try no longer. The text names the server and holds no secret.
struct Failure : std::runtime_error {
  enum class Kind {
    unreachable,  // nobody listens there
    nobody,       // nobody listens at any of the sentinels or seeds that were named
    broken,       // the connection ended, or no answer came in time: it may have been done or not
    busy,         // loading, a script runs, a slot is on the move: later
    refused,      // out of memory, too few replicas: later, perhaps
    elsewhere,    // not the master (any more), or not the node of this key
    denied,       // authentication or rights: trying again is no use
    senseless,    // the answer cannot be understood
  };
  Failure(Kind why, const std::string& text) : std::runtime_error(text), kind(why) {}
  Kind kind;

  bool is_final() const noexcept { return kind == Kind::denied || kind == Kind::senseless; }
};

// One of the signals that end waiting came; Interrupts knows which.
struct Interrupted {};

}  // namespace cachify::store::redis

#pragma once

#include "store/redis/address.h"
#include "store/redis/client.h"
#include "store/redis/failure.h"
#include "store/redis/limit.h"

namespace cachify::store::redis {

// How long to go on after failures.
//  - At first: as long as the server may be about to come back, but never longer than the time-outs
//    for connecting and for a command say. Where nobody listens, or the server refuses, at once.
//  - Queued: until the limit, as others are in the same trouble, and the place is kept.
class Retries {
 public:
  enum class Mode { first, queued };
  Retries(const Address& address, Mode mode, const Limit& limit)
      : address_(address), mode_(mode), limit_(limit), started_(util::monotonic_now()) {}

  // For the next attempt.
  Limit limit() const;
  // Sleeps a while; throws StoreError when it is time to give up, and Interrupted.
  void after(const Failure& failure);

 private:
  const Address& address_;
  Mode mode_;
  Limit limit_;
  util::MonotonicTime started_;
  util::Duration pause_ = std::chrono::milliseconds(20);
};

// The line for the user.
[[noreturn]] void give_up(const Address& address, const Failure& failure);

// Asks until there is an answer or no hope.
template <class Question>
auto ask_again(const Address& address, Question question) {
  Retries retries(address, Retries::Mode::first, {kNever, nullptr});
  while (true) {
    try {
      return question(retries.limit());
    } catch (const Failure& failure) {
      retries.after(failure);
    }
  }
}

// The same on a connection of its own.
template <class Question>
auto ask(const Address& address, Question question) {
  Client client(address);
  return ask_again(address, [&](const Limit& limit) { return question(client, limit); });
}

}  // namespace cachify::store::redis

#include "store/redis/redis_store.h"

#include <limits>

#include "store/redis/admission.h"
#include "store/redis/books.h"
#include "store/redis/failure.h"
#include "store/redis/retries.h"
#include "store/redis/transport.h"

namespace cachify::store {

namespace {

using redis::Address;
using redis::Books;
using redis::Client;

// Asks, on a connection of its own, until there is an answer or no hope.
template <class Question>
auto ask(const Address& address, Question question) {
  constexpr util::MonotonicTime kNever{std::numeric_limits<int64_t>::max() / 2};
  Client client(address);
  redis::Retries retries(address, redis::Retries::Mode::first, {kNever, nullptr});
  while (true) {
    try {
      return question(client, retries.limit());
    } catch (const redis::Failure& failure) {
      retries.after(failure);
    }
  }
}

class RedisStore : public Store {
 public:
  explicit RedisStore(const OpenOptions& options)
      : address_(redis::parse_address(options.url, options.redis_password)),
        prefix_(options.prefix) {
    if (address_.tls) redis::require_tls();
  }

  Acquisition acquire(const Claim& claim, const Patience& patience, run::Interrupts& interrupts,
                      WaitObserver& observer) override {
    const Books books(prefix_, claim.kind, claim.key);
    return redis::Admission(address_, books, claim, patience, interrupts, observer).run();
  }

  int64_t size(Kind kind, const std::string& key) override {
    const Books books(prefix_, kind, key);
    return ask(address_, [&](Client& client, const redis::Limit& limit) {
      return books.size(client, limit);
    });
  }

  Situation situation(Kind kind, const std::string& key) override {
    const Books books(prefix_, kind, key);
    return ask(address_, [&](Client& client, const redis::Limit& limit) {
      return books.look(client, limit);
    });
  }

  std::string shown_url() const override { return address_.shown; }

 private:
  const Address address_;
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<Store> open_redis_store(const OpenOptions& options) {
  return std::make_unique<RedisStore>(options);
}

}  // namespace cachify::store

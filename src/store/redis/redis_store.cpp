#include "store/redis/redis_store.h"

#include "store/redis/admission.h"
#include "store/redis/books.h"
#include "store/redis/examination.h"
#include "store/redis/listing.h"
#include "store/redis/map_record.h"
#include "store/redis/random.h"
#include "store/redis/retries.h"
#include "store/redis/transport.h"
#include "store/redis/watch.h"

namespace cachify::store {

namespace {

using redis::Address;
using redis::ask;
using redis::Books;
using redis::Client;
using redis::Mark;

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

  Situation glance(Kind kind, const std::string& key, util::Duration patience) override {
    Client client(address_);
    try {
      const redis::Limit limit{util::monotonic_now() + patience, nullptr};
      return Books(prefix_, kind, key).look_closely(client, limit).situation;
    } catch (const redis::Failure& failure) {
      redis::give_up(address_, failure);
    }
  }

  Situation situation(Kind kind, const std::string& key) override {
    const Books books(prefix_, kind, key);
    return ask(address_, [&](Client& client, const redis::Limit& limit) {
      return books.look_closely(client, limit).situation;
    });
  }

  std::vector<KeySummary> list(Kind kind) override {
    return redis::list_keys(address_, prefix_, kind);
  }

  void resize(Kind kind, const std::string& key, std::optional<int64_t> max) override {
    set(kind, key, "max", max ? std::to_string(*max) : "");
  }

  void set_closed(Kind kind, const std::string& key, bool closed) override {
    set(kind, key, "closed", closed ? "1" : "");
  }

  int64_t dismiss(Kind kind, const std::string& key) override {
    const Books books(prefix_, kind, key);
    return ask(address_, [&](Client& client, const redis::Limit& limit) {
      return books.dismiss(client, limit);
    });
  }

  int64_t give_back(Kind kind, const std::string& key,
                    const std::optional<std::string>& id) override {
    return static_cast<int64_t>(end(kind, key, id, {true, false, {}}).size());
  }

  std::vector<std::string> terminate(Kind kind, const std::string& key,
                                     const std::optional<std::string>& id,
                                     std::optional<util::Duration> kill_after) override {
    return end(kind, key, id, {false, true, kill_after});
  }

  bool wait_until(Kind kind, const std::string& key,
                  const std::function<bool(const Situation&)>& enough,
                  const std::optional<util::MonotonicTime>& deadline,
                  run::Interrupts& interrupts) override {
    return redis::Watch(address_, Books(prefix_, kind, key), enough, deadline, interrupts).run();
  }

  CatalogueView catalogue(const std::string& key) override {
    const Books books(prefix_, Kind::resource, key);
    return ask(address_, [&](Client& client, const redis::Limit& limit) {
      return books.catalogue(client, false, limit).view;
    });
  }

  void update_catalogue(const std::string& key, const ChangeCatalogue& change,
                        run::Interrupts* /*interrupts*/) override {
    const Books books(prefix_, Kind::resource, key);
    Client client(address_);
    while (true) {
      const Books::Catalogue now = redis::ask_again(address_, [&](const redis::Limit& limit) {
        return books.catalogue(client, true, limit);
      });
      const auto wanted = change(now.view);
      if (!wanted) return;
      const std::string token = redis::random_id();
      const bool done = redis::ask_again(address_, [&](const redis::Limit& limit) {
        return books.change(client, now.version, token, *wanted, limit);
      });
      if (done) return;
    }
  }

  std::unique_ptr<MapRecord> show_map(const std::string& key, const Who& who) override {
    return std::make_unique<redis::RedisMapRecord>(address_, Books(prefix_, Kind::pool, key), who);
  }

  std::vector<Finding> examine() override { return redis::Examination(address_, prefix_).run(); }

  std::string shown_url() const override { return address_.shown; }

 private:
  void set(Kind kind, const std::string& key, const char* name, const std::string& value) {
    const Books books(prefix_, kind, key);
    ask(address_,
        [&](Client& client, const redis::Limit& limit) { books.set(client, name, value, limit); });
  }

  std::vector<std::string> end(Kind kind, const std::string& key,
                               const std::optional<std::string>& id, const Mark& mark) {
    if (id && id->empty()) return {};  // nobody's; in the books it would mean all
    const Books books(prefix_, kind, key);
    return ask(address_, [&](Client& client, const redis::Limit& limit) {
      return books.end(client, id, mark, limit);
    });
  }

  const Address address_;
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<Store> open_redis_store(const OpenOptions& options) {
  return std::make_unique<RedisStore>(options);
}

}  // namespace cachify::store

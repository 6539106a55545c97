#include "store/pycachify/pycachify_store.h"

#include "errors.h"
#include "store/pycachify/admission.h"
#include "store/pycachify/book.h"
#include "store/pycachify/examination.h"
#include "store/pycachify/guard_wait.h"
#include "store/redis/failure.h"
#include "store/redis/retries.h"
#include "store/redis/transport.h"

namespace cachify::store {

namespace {

using pycachify::LockBook;
using pycachify::PoolBook;

class PyCachifyStore : public Store {
 public:
  explicit PyCachifyStore(const OpenOptions& options)
      : address_(redis::parse_address(options.url, options.redis_password)),
        prefix_(options.prefix) {
    if (address_.tls) redis::require_tls();
  }

  Acquisition acquire(const Claim& claim, const Patience& patience, run::Interrupts& interrupts,
                      WaitObserver& observer) override {
    refuse_impossible(claim);
    return pycachify::Admission(address_, prefix_, claim, patience, interrupts, observer).run();
  }

  int64_t size(Kind kind, const std::string& key) override {
    refuse_resources(kind);
    return redis::ask(address_, [&](redis::Client& client, const redis::Limit& limit) {
      return kind == Kind::lock ? LockBook::size(client, prefix_, key, limit)
                                : PoolBook::size(client, prefix_, key, limit);
    });
  }

  Situation situation(Kind /*kind*/, const std::string& /*key*/) override {
    refuse("tell who holds and who waits");
  }

  Situation summary(Kind kind, const std::string& key) override {
    Situation situation;
    situation.size = size(kind, key);
    situation.with_who = false;
    return situation;
  }

  int64_t give_back(Kind kind, const std::string& key,
                    const std::optional<std::string>& id) override {
    refuse_resources(kind);
    if (kind == Kind::lock) {
      return redis::ask(address_, [&](redis::Client& client, const redis::Limit& limit) {
        return LockBook::give_back(client, prefix_, key, id, limit);
      });
    }
    pycachify::GuardWait guard(prefix_, key, pycachify::guard_patience(0));
    while (true) {
      const auto count =
          redis::ask(address_, [&](redis::Client& client, const redis::Limit& limit) {
            return PoolBook::give_back(client, prefix_, key, id, limit);
          });
      if (count) return *count;
      redis::sleep_until({util::monotonic_now() + guard.pause(address_.poll), nullptr});
    }
  }

  std::vector<Finding> examine() override {
    return pycachify::Examination(address_, prefix_).run();
  }

  std::string shown_url() const override { return address_.shown; }

 private:
  // Or a resource would be taken for a pool of the same key.
  void refuse_resources(Kind kind) const {
    if (kind == Kind::resource) refuse("lend resources");
  }

  // All that py-cachify has no place for: done halfway, it would be a promise that is not kept.
  void refuse_impossible(const Claim& claim) const {
    refuse_resources(claim.kind);
    if (claim.shared) refuse("let readers share a lock (--shared)");
    if (claim.weight != 1) refuse("give a command more than one slot (--weight)");
    if (claim.priority != 0) refuse("serve anybody first (--priority): it keeps no order");
    if (claim.queue_max) refuse("count who waits (--queue-max)");
    if (claim.replace) refuse("end or dismiss others (--replace)");
    if (claim.kind == Kind::pool && claim.max < 1) {
      throw UsageError("--max is needed: the store " + shown_url() + " cannot keep a cap");
    }
  }

  const redis::Address address_;
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<Store> open_pycachify_store(const OpenOptions& options) {
  return std::make_unique<PyCachifyStore>(options);
}

}  // namespace cachify::store

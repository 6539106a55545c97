#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "contract/caller.h"

// A store and the callers that a case puts on its stage.
namespace cachify::store {
// Where doctest looks for it.
inline doctest::String toString(Outcome outcome) {
  return doctest::toString(static_cast<int>(outcome));
}
}  // namespace cachify::store

namespace cachify::test {

constexpr auto kForEver = util::Duration::max();
constexpr util::Duration kPrompt = std::chrono::seconds(5);

class Scene {
 public:
  explicit Scene(const StoreFixture& fixture) : fixture_(fixture), store_(fixture.open()) {}

  const StoreFixture& fixture() const { return fixture_; }
  store::Store& store() { return *store_; }
  int64_t size(store::Kind kind = store::Kind::pool, const std::string& key = "k") {
    return store_->size(kind, key);
  }
  store::Situation situation(store::Kind kind = store::Kind::pool) {
    return store_->situation(kind, "k");
  }
  size_t waiting(store::Kind kind = store::Kind::pool) { return situation(kind).waiters.size(); }

  Caller& ask(const store::Claim& claim, std::optional<util::Duration> patience = std::nullopt);
  Caller& hold(const store::Claim& claim);
  // Returns once it stands in the queue.
  Caller& queue(const store::Claim& claim, util::Duration patience = kForEver);
  // Gives back what it got.
  store::Outcome outcome(const store::Claim& claim,
                         std::optional<util::Duration> patience = std::nullopt);
  static bool becomes(const std::function<bool()>& predicate, util::Duration within = kPrompt);

 private:
  const StoreFixture& fixture_;
  std::unique_ptr<store::Store> store_;
  std::vector<std::unique_ptr<Caller>> callers_;
};

void over_every_store(const std::function<void(Scene&)>& test);

store::Claim pool(int64_t max, int64_t weight = 1);
store::Claim lock(bool shared = false);

}  // namespace cachify::test

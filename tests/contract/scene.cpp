#include "contract/scene.h"

namespace cachify::test {

using store::Claim;
using store::Kind;
using store::Outcome;

Caller& Scene::ask(const Claim& claim, std::optional<util::Duration> patience) {
  callers_.push_back(std::make_unique<Caller>(fixture_, claim, patience));
  return *callers_.back();
}

Caller& Scene::hold(const Claim& claim) {
  Caller& caller = ask(claim);
  REQUIRE(caller.result().error == "");
  REQUIRE(caller.result().outcome == Outcome::admitted);
  return caller;
}

Caller& Scene::queue(const Claim& claim, util::Duration patience) {
  const size_t before = waiting(claim.kind);
  Caller& caller = ask(claim, patience);
  REQUIRE(becomes([&] { return waiting(claim.kind) == before + 1; }));
  return caller;
}

Outcome Scene::outcome(const Claim& claim, std::optional<util::Duration> patience) {
  Caller caller(fixture_, claim, patience);
  REQUIRE(caller.result().error == "");
  const Outcome outcome = caller.result().outcome;
  if (outcome == Outcome::admitted) caller.release();
  return outcome;
}

bool Scene::becomes(const std::function<bool()>& predicate, util::Duration within) {
  const auto end = util::monotonic_now() + within;
  while (!predicate()) {
    if (util::monotonic_now() > end) return false;
    ::usleep(1000);
  }
  return true;
}

void over_every_store(const std::function<void(Scene&)>& test) {
  for (const auto& fixture : store_fixtures()) {
    const std::string reason = fixture->unavailable();
    if (!reason.empty()) {
      MESSAGE(std::string(fixture->name()) << " skipped: " << reason);
      continue;
    }
    INFO("store: " << std::string(fixture->name()));
    Scene scene(*fixture);
    test(scene);
  }
}

Claim pool(int64_t max, int64_t weight) {
  Claim claim;
  claim.key = "k";
  claim.max = max;
  claim.weight = weight;
  return claim;
}

Claim lock(bool shared) {
  Claim claim;
  claim.kind = Kind::lock;
  claim.key = "k";
  claim.shared = shared;
  return claim;
}

}  // namespace cachify::test

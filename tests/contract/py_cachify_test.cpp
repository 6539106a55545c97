// What the store for py-cachify promises of store/store.h, and what it says that it cannot do.
#include <doctest/doctest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "contract/stores.h"
#include "errors.h"
#include "run/interrupts.h"

using namespace cachify;
using namespace cachify::test;
using store::Acquisition;
using store::Claim;
using store::Kind;
using store::Lease;
using store::Outcome;

namespace {

class Scene {
 public:
  Scene() : fixture_(py_cachify_fixture()), store_(fixture_->open()), other_(fixture_->open()) {}

  bool can_run() const {
    if (!fixture_->unavailable().empty()) MESSAGE(fixture_->unavailable());
    return fixture_->unavailable().empty();
  }

  // The holder's store, and anybody else's.
  store::Store& store() { return *store_; }
  store::Store& other() { return *other_; }

  Acquisition take(Kind kind, int64_t max = 1) {
    Claim claim;
    claim.kind = kind;
    claim.key = "k";
    claim.max = max;
    return store_->acquire(claim, {}, interrupts_, observer_);
  }
  std::unique_ptr<Lease> hold(Kind kind, int64_t max = 1) {
    Acquisition acquisition = take(kind, max);
    REQUIRE(acquisition.outcome == Outcome::admitted);
    return std::move(acquisition.lease);
  }

  // As run::Supervisor does it, until the lease says something.
  static Lease::State next_state(Lease& lease) {
    for (int ticks = 0; ticks < 20; ++ticks) {
      const auto next = lease.next_tick();
      if (!next) break;
      while (util::boottime_ns() < *next) ::usleep(1000);
      const Lease::State state = lease.tick();
      if (state != Lease::State::held) return state;
    }
    return Lease::State::held;
  }

  template <class Call>
  static bool is_refused(Call call) {
    try {
      call();
      return false;
    } catch (const UsageError&) {
      return true;
    }
  }

 private:
  std::unique_ptr<StoreFixture> fixture_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Store> other_;
  run::Interrupts interrupts_;
  store::WaitObserver observer_;
};

}  // namespace

TEST_CASE(
    "py-cachify: what is given back in its place is not taken again, and the holder is told") {
  Scene scene;
  if (!scene.can_run()) return;
  for (const Kind kind : {Kind::lock, Kind::pool}) {
    const std::unique_ptr<Lease> lease = scene.hold(kind);
    const std::string& id = lease->grant().id;
    CHECK(scene.other().give_back(kind, "k", (id[0] == 'f' ? "e" : "f") + id.substr(1)) == 0);
    CHECK(scene.other().size(kind, "k") == 1);
    CHECK(scene.other().give_back(kind, "k", lease->grant().id) == 1);
    CHECK(scene.other().size(kind, "k") == 0);
    CHECK(scene.other().give_back(kind, "k", std::nullopt) == 0);
    const std::unique_ptr<Lease> next = scene.hold(kind);
    CHECK(scene.next_state(*lease) == Lease::State::released);
    CHECK(!lease->next_tick());
    lease->release();
    CHECK(scene.other().size(kind, "k") == 1);
    next->release();
    CHECK(scene.other().size(kind, "k") == 0);
  }
}

TEST_CASE("py-cachify: all slots of a pool can be given back at once") {
  Scene scene;
  if (!scene.can_run()) return;
  const std::unique_ptr<Lease> leases[] = {scene.hold(Kind::pool, 3), scene.hold(Kind::pool, 3),
                                           scene.hold(Kind::pool, 3)};
  CHECK(scene.take(Kind::pool, 3).outcome == Outcome::full);
  CHECK(scene.other().give_back(Kind::pool, "k", leases[1]->grant().id) == 1);
  CHECK(scene.other().give_back(Kind::pool, "k", std::nullopt) == 2);
  CHECK(scene.other().summary(Kind::pool, "k").size == 0);
  for (const auto& lease : leases) CHECK(scene.next_state(*lease) == Lease::State::released);
  CHECK(scene.other().size(Kind::pool, "k") == 0);
}

TEST_CASE("py-cachify: a lock and a pool of the same key have nothing to do with each other") {
  Scene scene;
  if (!scene.can_run()) return;
  const std::unique_ptr<Lease> lock = scene.hold(Kind::lock);
  const std::unique_ptr<Lease> slot = scene.hold(Kind::pool);
  slot->release();
  CHECK(scene.other().size(Kind::lock, "k") == 1);
  CHECK(scene.other().size(Kind::pool, "k") == 0);
  lock->release();
  CHECK(scene.other().size(Kind::lock, "k") == 0);
}

TEST_CASE("py-cachify: what its layout has no place for is refused as wrong use") {
  Scene scene;
  if (!scene.can_run()) return;
  store::Store& store = scene.store();
  CHECK(scene.is_refused([&] { store.situation(Kind::pool, "k"); }));
  CHECK(scene.is_refused([&] { store.list(Kind::pool); }));
  CHECK(scene.is_refused([&] { store.resize(Kind::pool, "k", 3); }));
  CHECK(scene.is_refused([&] { store.resize(Kind::pool, "k", std::nullopt); }));
  CHECK(scene.is_refused([&] { store.set_closed(Kind::pool, "k", true); }));
  CHECK(scene.is_refused([&] { store.dismiss(Kind::pool, "k"); }));
  CHECK(scene.is_refused([&] { store.terminate(Kind::lock, "k", std::nullopt, std::nullopt); }));
  CHECK(scene.is_refused([&] { scene.take(Kind::pool, 0); }));
  CHECK(scene.is_refused([&] { scene.take(Kind::resource); }));
  CHECK(scene.is_refused([&] { store.size(Kind::resource, "k"); }));
  CHECK(scene.is_refused([&] { store.give_back(Kind::resource, "k", std::nullopt); }));
  CHECK(scene.is_refused([&] { store.catalogue("k"); }));
}

// What store/store.h promises, over every store of contract/stores.cpp.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "contract/scene.h"

using namespace cachify;
using namespace cachify::test;
using namespace std::chrono_literals;
using store::Claim;
using store::Kind;
using store::Outcome;

namespace {

Claim prior(int priority) {
  Claim claim = pool(1);
  claim.priority = priority;
  return claim;
}

Claim expiring(util::Duration expiry) {
  Claim claim = pool(1);
  claim.expiry = expiry;
  return claim;
}

}  // namespace

TEST_CASE("a key that never was has no slots in use") {
  over_every_store([](Scene& scene) {
    CHECK(scene.size() == 0);
    CHECK(scene.situation().holders.empty());
    CHECK(scene.situation().waiters.empty());
  });
}

TEST_CASE("callers are admitted while there is room, then refused") {
  over_every_store([](Scene& scene) {
    for (int64_t i = 0; i < 3; ++i) {
      CHECK(scene.hold(pool(3)).result().grant.slot == i);
      CHECK(scene.size() == i + 1);
    }
    CHECK(scene.outcome(pool(3)) == Outcome::full);
    CHECK(scene.size() == 3);
    CHECK(scene.outcome(pool(4)) == Outcome::admitted);
  });
}

TEST_CASE("a released slot is free, the lowest free one is given, fences grow, ids differ") {
  over_every_store([](Scene& scene) {
    std::set<std::string> ids;
    uint64_t fence = 0;
    const auto check = [&](Caller& caller, int64_t slot) {
      const store::Grant& grant = caller.result().grant;
      CHECK(grant.slot == slot);
      CHECK(grant.max == 3);
      CHECK(grant.fence > fence);
      CHECK(ids.insert(grant.id).second);
      fence = grant.fence;
    };
    Caller& first = scene.hold(pool(3));
    Caller& second = scene.hold(pool(3));
    check(first, 0);
    check(second, 1);
    first.release();
    CHECK(scene.size() == 1);
    check(scene.hold(pool(3)), 0);
    check(scene.hold(pool(3)), 2);
    second.release();
    check(scene.hold(pool(3)), 1);
  });
}

TEST_CASE("waiters are served in order of arrival") {
  over_every_store([](Scene& scene) {
    std::vector<Caller*> line{&scene.hold(pool(1))};
    for (int i = 0; i < 8; ++i) line.push_back(&scene.queue(pool(1)));
    for (size_t i = 0; i + 1 < line.size(); ++i) {
      for (size_t later = i + 1; later < line.size(); ++later) CHECK(!line[later]->answered());
      line[i]->release();
      CHECK(line[i + 1]->result().outcome == Outcome::admitted);
      CHECK(line[i + 1]->result().grant.fence > line[i]->result().grant.fence);
    }
  });
}

TEST_CASE("higher priorities are served first") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(prior(0));
    Caller& low = scene.queue(prior(-5));
    Caller& middle = scene.queue(prior(0));
    Caller& high = scene.queue(prior(100));
    Caller& late = scene.queue(prior(0));
    const auto waiters = scene.situation().waiters;
    REQUIRE(waiters.size() == 4);
    CHECK(waiters[0].priority == 100);
    CHECK(waiters[3].priority == -5);
    Caller* previous = &holder;
    for (Caller* next : {&high, &middle, &late, &low}) {
      previous->release();
      CHECK(next->result().outcome == Outcome::admitted);
      CHECK(scene.size() == 1);
      previous = next;
    }
  });
}

TEST_CASE("nobody overtakes a waiter, whatever their caps") {
  over_every_store([](Scene& scene) {
    Caller& one = scene.hold(pool(4));
    scene.hold(pool(4));
    Caller& small = scene.queue(pool(2));
    CHECK(scene.outcome(pool(4)) == Outcome::full);
    Caller& large = scene.queue(pool(4));
    CHECK(scene.situation().waiters.size() == 2);
    one.release();
    CHECK(small.result().outcome == Outcome::admitted);
    CHECK(large.result().outcome == Outcome::admitted);
    CHECK(small.result().grant.fence < large.result().grant.fence);
  });
}

TEST_CASE("a waiting time runs out, and the queue is left") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(pool(1));
    Caller& hasty = scene.queue(pool(1), 200ms);
    Caller& patient = scene.queue(pool(1));
    CHECK(hasty.result().outcome == Outcome::timed_out);
    // The deadline was set before the store began to count.
    CHECK(hasty.result().waited > 100ms);
    CHECK(Scene::becomes([&] { return scene.situation().waiters.size() == 1; }));
    CHECK(!patient.answered());
    holder.release();
    CHECK(patient.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("a signal ends the wait, and nothing is admitted afterwards") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(pool(1));
    Caller& stopped = scene.queue(pool(1));
    Caller& next = scene.queue(pool(1));
    stopped.kill(SIGTERM);
    CHECK(stopped.result().outcome == Outcome::interrupted);
    CHECK(Scene::becomes([&] { return scene.situation().waiters.size() == 1; }));
    holder.release();
    CHECK(next.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("a killed waiter is skipped and a killed holder's slot comes back") {
  over_every_store([](Scene& scene) {
    for (const int64_t max : {1, 2}) {
      Caller& holder = scene.hold(pool(max));
      Caller& other = max == 2 ? scene.hold(pool(max)) : holder;
      Caller& dead = scene.queue(pool(max));
      Caller& next = scene.queue(pool(max));
      dead.kill(SIGKILL);
      dead.wait();
      holder.kill(SIGKILL);
      holder.wait();
      const auto patience = kPrompt + scene.fixture().until_crash_is_noticed();
      CHECK(Scene::becomes([&] { return next.answered(); }, patience));
      CHECK(next.result().outcome == Outcome::admitted);
      next.release();
      if (&other != &holder) other.release();
      CHECK(scene.size() == 0);
      CHECK(scene.situation().waiters.empty());
    }
  });
}

TEST_CASE("the length of the queue can be limited") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(1));
    Claim limited = pool(1);
    limited.queue_max = 0;
    CHECK(scene.outcome(limited, kForEver) == Outcome::queue_full);
    limited.queue_max = 1;
    scene.queue(limited);
    CHECK(scene.outcome(limited, kForEver) == Outcome::queue_full);
    CHECK(scene.outcome(limited) == Outcome::full);
    limited.queue_max = 2;
    scene.queue(limited);
  });
}

TEST_CASE("from an occupancy on callers can be shed") {
  over_every_store([](Scene& scene) {
    Claim claim = pool(4);
    claim.shed_at = store::ShedAt{.slots = 1, .percent = std::nullopt};
    CHECK(scene.outcome(claim) == Outcome::admitted);
    scene.hold(pool(4));
    CHECK(scene.outcome(claim, kForEver) == Outcome::shed);
    claim.shed_at->slots = 2;
    CHECK(scene.outcome(claim) == Outcome::admitted);
    claim.shed_at->percent = 25;
    CHECK(scene.outcome(claim) == Outcome::shed);
    claim.shed_at->percent = 26;
    CHECK(scene.outcome(claim) == Outcome::admitted);
  });
}

TEST_CASE("a weight takes so many slots, also apart, and is not overtaken") {
  over_every_store([](Scene& scene) {
    std::vector<Caller*> holders;
    for (int i = 0; i < 4; ++i) holders.push_back(&scene.hold(pool(4)));
    Caller& heavy = scene.queue(pool(4, 2));
    Caller& light = scene.queue(pool(4));
    holders[0]->release();
    CHECK(scene.size() == 3);
    CHECK(!heavy.answered());
    CHECK(!light.answered());
    holders[2]->release();
    CHECK(heavy.result().outcome == Outcome::admitted);
    CHECK(heavy.result().grant.slot == 0);
    CHECK(scene.size() == 4);
    heavy.release();
    CHECK(light.result().outcome == Outcome::admitted);
    CHECK(scene.size() == 3);
  });
}

TEST_CASE("readers share a lock, writers do not, and arrival orders both") {
  over_every_store([](Scene& scene) {
    Caller& one = scene.hold(lock(true));
    Caller& two = scene.hold(lock(true));
    CHECK(scene.size(Kind::lock) == 2);
    CHECK(scene.outcome(lock()) == Outcome::full);
    Caller& writer = scene.queue(lock());
    CHECK(scene.outcome(lock(true)) == Outcome::full);
    Caller& reader = scene.queue(lock(true));
    one.release();
    CHECK(!writer.answered());
    two.release();
    CHECK(writer.result().outcome == Outcome::admitted);
    CHECK(!reader.answered());
    writer.release();
    CHECK(reader.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("an expired slot goes to the next, and its release takes nothing away") {
  over_every_store([](Scene& scene) {
    Caller& old = scene.hold(expiring(200ms));
    CHECK(scene.outcome(pool(1)) == Outcome::full);
    Caller& next = scene.ask(pool(1), kForEver);
    CHECK(next.result().outcome == Outcome::admitted);
    CHECK(next.result().grant.fence > old.result().grant.fence);
    old.release();
    CHECK(scene.size() == 1);
    CHECK(scene.outcome(pool(1)) == Outcome::full);
    next.release();
    CHECK(scene.size() == 0);
  });
}

TEST_CASE("kinds and keys have nothing to do with each other") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(1));
    CHECK(scene.size(Kind::lock) == 0);
    scene.hold(lock());
    for (const char* key : {"kk", "K", "k ", "k/", "k%", "K:", "%6B"}) {
      Claim claim = pool(1);
      claim.key = key;
      CHECK(scene.outcome(claim) == Outcome::admitted);
    }
    CHECK(scene.size() == 1);
    CHECK(scene.size(Kind::lock) == 1);
  });
}

TEST_CASE("any byte but NUL and any length up to 512 makes a key of its own") {
  over_every_store([](Scene& scene) {
    std::string all;
    for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
    for (const std::string& key :
         {all, std::string(512, 'k'), std::string(511, 'k') + "l", std::string(512, '%')}) {
      Claim claim = pool(1);
      claim.key = key;
      Caller holder(scene.fixture(), claim, std::nullopt);
      CHECK(holder.result().error == "");
      CHECK(holder.result().outcome == Outcome::admitted);
      CHECK(scene.outcome(claim) == Outcome::full);
      CHECK(scene.size(Kind::pool, key) == 1);
      holder.release();
      CHECK(scene.size(Kind::pool, key) == 0);
    }
  });
}

TEST_CASE("a picture shows who holds and who waits") {
  over_every_store([](Scene& scene) {
    Claim claim = pool(2);
    claim.who.command = "./job.sh one";
    Caller& holder = scene.hold(claim);
    Claim other = expiring(1h);
    other.max = 2;
    scene.hold(other);
    Caller& waiter = scene.queue(pool(2, 2));
    const store::Situation now = scene.situation();
    CHECK(now.size == 2);
    CHECK_FALSE(now.closed);
    REQUIRE(now.holders.size() == 2);
    CHECK(now.holders[0].slot == 0);
    CHECK(now.holders[0].id == holder.result().grant.id);
    CHECK(now.holders[0].fence == holder.result().grant.fence);
    CHECK(now.holders[0].who.command == "./job.sh one");
    CHECK(now.holders[0].who.pid == holder.pid());
    CHECK_FALSE(now.holders[0].orphan);
    CHECK_FALSE(now.holders[0].expires_in_ms);
    REQUIRE(now.holders[1].expires_in_ms);
    CHECK(*now.holders[1].expires_in_ms > 3'500'000);
    REQUIRE(now.waiters.size() == 1);
    CHECK(now.waiters[0].position == 1);
    CHECK(now.waiters[0].weight == 2);
    CHECK(now.waiters[0].who.pid == waiter.pid());
  });
}

// "Looking and steering" of store/store.h, over every store of contract/stores.cpp.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <string>
#include <vector>

#include "contract/scene.h"
#include "run/deadline.h"
#include "run/interrupts.h"

using namespace cachify;
using namespace cachify::test;
using namespace std::chrono_literals;
using store::Claim;
using store::Kind;
using store::Lease;
using store::Outcome;

namespace {

Claim replacing(Claim claim, bool running, bool waiting) {
  claim.replace = store::Replace{.running = running, .waiting = waiting, .kill_after = 7s};
  return claim;
}

// What steering takes longer than this has been noticed by a heartbeat, and not by being told.
// Times of a sanitized program say nothing.
#ifdef __SANITIZE_ADDRESS__
constexpr util::Duration kHandOff = 10s;
#else
constexpr util::Duration kHandOff = 700ms;
#endif

bool soon(Caller& caller) {
  return Scene::becomes([&] { return caller.answered(); }, kHandOff);
}

std::string id(Caller& caller) {
  return caller.result().grant.id;
}

void check_told(Caller& caller, Lease::State state) {
  const auto told = caller.told(kPrompt);
  REQUIRE(told);
  CHECK(static_cast<int>(told->state) == static_cast<int>(state));
}

// In a process of its own, as there is one Interrupts to a process. Exit code 1: it was enough.
pid_t wait_in_child(const StoreFixture& fixture, util::Duration patience,
                    const std::function<bool(const store::Situation&)>& enough) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid > 0) return pid;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::signal(signal, SIG_DFL);
  int code = 99;
  try {
    const auto opened = fixture.open();
    run::Interrupts interrupts;
    const bool done =
        opened->wait_until(Kind::pool, "k", enough, run::deadline_after(patience), interrupts);
    code = done ? 1 : interrupts.caught() ? 2 : 0;
    interrupts.command_ended();
  } catch (...) {
    code = 98;
  }
  ::_exit(code);
}

int code_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a stored cap counts for everyone, and a larger one lets waiters in at once") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(1));
    Caller& first = scene.queue(pool(1));
    Caller& second = scene.queue(pool(1));
    Caller& third = scene.queue(pool(1));
    scene.store().resize(Kind::pool, "k", 3);
    CHECK(soon(first));
    CHECK(first.result().outcome == Outcome::admitted);
    CHECK(first.result().grant.max == 3);
    CHECK(soon(second));
    CHECK(second.result().outcome == Outcome::admitted);
    CHECK(!third.answered());
    CHECK(scene.size() == 3);
    CHECK(scene.situation().stored_max == 3);
    CHECK(scene.outcome(pool(100)) == Outcome::full);

    scene.store().resize(Kind::pool, "k", 1);
    CHECK(scene.size() == 3);
    first.release();
    second.release();
    CHECK(!third.answered());
    CHECK(scene.situation().stored_max == 1);

    scene.store().resize(Kind::pool, "k", std::nullopt);
    CHECK_FALSE(scene.situation().stored_max);
    CHECK(scene.outcome(pool(100)) == Outcome::full);  // the third still stands before it
  });
}

TEST_CASE("a head that waits for one of several holders is let in by a larger cap") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(3));
    scene.hold(pool(3));
    scene.hold(pool(3));
    Caller& head = scene.queue(pool(3));
    scene.store().resize(Kind::pool, "k", 4);
    CHECK(soon(head));
    CHECK(head.result().outcome == Outcome::admitted);
    CHECK(head.result().grant.slot == 3);
  });
}

TEST_CASE("a larger cap also lets in at once who was the head until it was overtaken") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(1));
    Caller& overtaken = scene.queue(pool(1));
    Claim urgent = pool(1);
    urgent.priority = 1;
    Caller& head = scene.queue(urgent);
    scene.store().resize(Kind::pool, "k", 3);
    CHECK(soon(head));
    CHECK(soon(overtaken));
  });
}

TEST_CASE("who names no cap uses the stored one, and cannot go on without it") {
  over_every_store([](Scene& scene) {
    Caller refused(scene.fixture(), pool(0), std::nullopt);
    CHECK(refused.result().error != "");
    scene.store().resize(Kind::pool, "k", 2);
    Caller& holder = scene.hold(pool(0));
    CHECK(holder.result().grant.max == 2);
    scene.hold(pool(0));
    Caller& first = scene.queue(pool(0));
    Caller& second = scene.queue(pool(0));
    scene.store().resize(Kind::pool, "k", std::nullopt);
    for (Caller* waiter : {&first, &second}) {
      CHECK(soon(*waiter));
      CHECK(waiter->result().error != "");
    }
    CHECK(scene.waiting() == 0);
    CHECK(scene.size() == 2);
  });
}

TEST_CASE("a closed key refuses newcomers, and serves who waits already") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(pool(1));
    Caller& waiter = scene.queue(pool(1));
    scene.store().set_closed(Kind::pool, "k", true);
    CHECK(scene.situation().closed);
    CHECK(scene.outcome(pool(9)) == Outcome::closed);
    CHECK(scene.outcome(pool(9), kForEver) == Outcome::closed);
    holder.release();
    CHECK(waiter.result().outcome == Outcome::admitted);
    waiter.release();
    CHECK(scene.outcome(pool(9)) == Outcome::closed);
    scene.store().set_closed(Kind::pool, "k", false);
    CHECK_FALSE(scene.situation().closed);
    CHECK(scene.outcome(pool(9)) == Outcome::admitted);
    scene.store().set_closed(Kind::pool, "never-was", true);
    Claim other = pool(1);
    other.key = "never-was";
    CHECK(scene.outcome(other) == Outcome::closed);
    CHECK(scene.outcome(lock()) == Outcome::admitted);
  });
}

TEST_CASE("who waits can be dismissed, all at once") {
  over_every_store([](Scene& scene) {
    for (const int64_t max : {1, 2}) {
      std::vector<Caller*> holders;
      for (int64_t i = 0; i < max; ++i) holders.push_back(&scene.hold(pool(max)));
      std::vector<Caller*> waiters;
      for (int i = 0; i < 5; ++i) waiters.push_back(&scene.queue(pool(max)));
      Caller& dead = *waiters[2];
      dead.kill(SIGKILL);
      dead.wait();
      REQUIRE(Scene::becomes([&] { return scene.waiting() == 4; },
                             kPrompt + scene.fixture().until_crash_is_noticed()));
      const int64_t before = scene.situation().counters.dismissed;
      CHECK(scene.store().dismiss(Kind::pool, "k") == 4);
      CHECK(scene.waiting() == 0);
      CHECK(scene.store().dismiss(Kind::pool, "k") == 0);
      for (Caller* waiter : waiters) {
        if (waiter == &dead) continue;
        CHECK(soon(*waiter));
        CHECK(waiter->result().outcome == Outcome::dismissed);
      }
      CHECK(scene.situation().counters.dismissed == before + 4);
      CHECK(scene.size() == max);
      Caller& next = scene.queue(pool(max));
      holders[0]->release();
      CHECK(next.result().outcome == Outcome::admitted);
      next.release();
      for (size_t i = 1; i < holders.size(); ++i) holders[i]->release();
      CHECK(scene.size() == 0);
    }
    CHECK(scene.store().dismiss(Kind::pool, "never-was") == 0);
  });
}

TEST_CASE("a dismissed waiter that was killed leaves nothing behind") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(1));
    Caller& stopped = scene.queue(pool(1));
    stopped.kill(SIGSTOP);
    CHECK(scene.store().dismiss(Kind::pool, "k") == 1);
    CHECK(scene.waiting() == 0);
    // Whoever comes now has nobody before him.
    Caller& next = scene.queue(pool(1));
    stopped.kill(SIGKILL);
    stopped.wait();
    CHECK(scene.waiting() == 1);
    CHECK(!next.answered());
    CHECK(scene.store().give_back(Kind::pool, "k", std::nullopt) == 1);
    CHECK(soon(next));
    CHECK(next.result().outcome == Outcome::admitted);
  });
}

// So many were admitted, as the store counts. Redis may hear of our wish before it hears that
// somebody has begun in the slot that it was granted; so long that one counts as waiting.
bool all_have_begun(Scene& scene, Kind kind, int64_t count) {
  return Scene::becomes([&] { return scene.situation(kind).counters.admitted == count; });
}

TEST_CASE("a slot can be given back in place of its holder, who loses nothing but that") {
  over_every_store([](Scene& scene) {
    Caller& one = scene.hold(pool(2));
    Caller& two = scene.hold(pool(2));
    Caller& first = scene.queue(pool(2));
    Caller& second = scene.queue(pool(2));
    CHECK(scene.store().give_back(Kind::pool, "k", "no-such-id") == 0);
    CHECK(scene.store().give_back(Kind::pool, "k", id(one) + "0") == 0);
    CHECK(scene.store().give_back(Kind::pool, "k", id(one)) == 1);
    CHECK(soon(first));
    CHECK(first.result().outcome == Outcome::admitted);
    CHECK(!second.answered());
    check_told(one, Lease::State::released);
    CHECK_FALSE(two.told(50ms));
    CHECK(scene.store().give_back(Kind::pool, "k", id(one)) == 0);
    one.release();
    CHECK(scene.size() == 2);
    CHECK(!second.answered());
    two.release();
    CHECK(second.result().outcome == Outcome::admitted);
    CHECK(all_have_begun(scene, Kind::pool, 4));
    CHECK(scene.store().give_back(Kind::pool, "k", std::nullopt) == 2);
    CHECK(scene.size() == 0);
    CHECK(scene.store().give_back(Kind::pool, "k", std::nullopt) == 0);
    CHECK(scene.store().give_back(Kind::pool, "never-was", std::nullopt) == 0);
  });
}

TEST_CASE("the only holder's slot given back wakes the head at once") {
  over_every_store([](Scene& scene) {
    for (const Claim& claim : {pool(1), lock()}) {
      Caller& holder = scene.hold(claim);
      Caller& next = scene.queue(claim);
      CHECK(scene.store().give_back(claim.kind, "k", id(holder)) == 1);
      CHECK(soon(next));
      CHECK(next.result().outcome == Outcome::admitted);
      CHECK(next.result().grant.fence > holder.result().grant.fence);
      holder.release();
      CHECK(scene.size(claim.kind) == 1);
      next.release();
    }
  });
}

TEST_CASE("all readers behind a writer get in when its lock is given back") {
  over_every_store([](Scene& scene) {
    scene.hold(lock());
    Caller& one = scene.queue(lock(true));
    Caller& two = scene.queue(lock(true));
    Caller& writer = scene.queue(lock());
    CHECK(scene.store().give_back(Kind::lock, "k", std::nullopt) == 1);
    CHECK(soon(one));
    CHECK(soon(two));
    CHECK(!writer.answered());
    CHECK(all_have_begun(scene, Kind::lock, 3));
    CHECK(scene.store().give_back(Kind::lock, "k", std::nullopt) == 2);
    CHECK(soon(writer));
    CHECK(writer.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("a heavy slot given back is given back whole") {
  over_every_store([](Scene& scene) {
    Caller& a = scene.hold(pool(4));
    scene.hold(pool(4));
    Caller& c = scene.hold(pool(4));
    scene.hold(pool(4));
    a.release();
    c.release();
    Caller& heavy = scene.hold(pool(4, 2));  // slots 0 and 2
    CHECK(scene.size() == 4);
    CHECK(scene.store().give_back(Kind::pool, "k", id(heavy)) == 1);
    CHECK(scene.size() == 2);
    heavy.release();
    CHECK(scene.size() == 2);
  });
}

TEST_CASE("a holder is asked to end, and holds until it has ended") {
  over_every_store([](Scene& scene) {
    Caller& one = scene.hold(pool(2));
    Caller& two = scene.hold(pool(2));
    Caller& next = scene.queue(pool(2));
    CHECK(scene.store().terminate(Kind::pool, "k", "no-such-id", 3s).empty());
    CHECK(scene.store().terminate(Kind::pool, "k", id(one), 3s) ==
          std::vector<std::string>{id(one)});
    const auto told = one.told(kHandOff);
    REQUIRE(told);
    CHECK(static_cast<int>(told->state) == static_cast<int>(Lease::State::taken));
    CHECK(told->kill_after == 3s);
    CHECK(scene.size() == 2);
    CHECK(!next.answered());
    for (const store::HolderInfo& holder : scene.situation().holders) {
      CHECK(holder.ending == (holder.id == id(one)));
    }
    one.release();
    CHECK(next.result().outcome == Outcome::admitted);
    CHECK(scene.store().terminate(Kind::pool, "k", std::nullopt, std::nullopt).size() == 2);
    for (Caller* holder : {&two, &next}) {
      const auto both = holder->told(kHandOff);
      REQUIRE(both);
      CHECK(static_cast<int>(both->state) == static_cast<int>(Lease::State::taken));
      CHECK_FALSE(both->kill_after);
      holder->release();
    }
    CHECK(scene.size() == 0);
    CHECK(scene.store().terminate(Kind::pool, "k", std::nullopt, 0s).empty());
    CHECK(scene.store().terminate(Kind::pool, "never-was", std::nullopt, 0s).empty());
  });
}

TEST_CASE("who was asked to end and was given back learns of both") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(pool(1));
    CHECK(scene.store().terminate(Kind::pool, "k", id(holder), 1s).size() == 1);
    check_told(holder, Lease::State::taken);
    CHECK(scene.store().give_back(Kind::pool, "k", id(holder)) == 1);
    CHECK(scene.size() == 0);
    holder.release();
    CHECK(scene.size() == 0);
  });
}

TEST_CASE("newest wins: the holder is asked to end, and waited for") {
  over_every_store([](Scene& scene) {
    for (const Claim& claim : {pool(1), lock()}) {
      Caller& old = scene.hold(claim);
      Caller& newest = scene.queue(replacing(claim, true, false));
      const auto told = old.told(kPrompt);
      REQUIRE(told);
      CHECK(static_cast<int>(told->state) == static_cast<int>(Lease::State::taken));
      CHECK(told->kill_after == 7s);
      CHECK(!newest.answered());
      old.release();
      CHECK(newest.result().outcome == Outcome::admitted);
      newest.release();
    }
  });
}

TEST_CASE("newest wins: the oldest go, no more than it needs, also when others wait before it") {
  over_every_store([](Scene& scene) {
    Caller& first = scene.hold(pool(4));
    Caller& second = scene.hold(pool(4));
    Caller& third = scene.hold(pool(4));
    Caller& fourth = scene.hold(pool(4));
    Caller& patient = scene.queue(pool(4));
    Caller& newest = scene.queue(replacing(pool(4, 2), true, false));
    check_told(first, Lease::State::taken);
    check_told(second, Lease::State::taken);
    CHECK_FALSE(third.told(100ms));
    first.release();
    CHECK(patient.result().outcome == Outcome::admitted);
    check_told(third, Lease::State::taken);
    CHECK_FALSE(fourth.told(50ms));
    CHECK_FALSE(patient.told(0ms));
    // Room that comes otherwise is used, and nobody else is asked.
    second.release();
    CHECK(!newest.answered());
    fourth.release();
    CHECK(newest.result().outcome == Outcome::admitted);
    CHECK_FALSE(patient.told(50ms));
    CHECK(scene.size() == 4);
  });
}

TEST_CASE("newest wins: who waited is dismissed, who holds goes on") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(lock());
    Caller& older = scene.queue(lock());
    Caller& reader = scene.queue(lock(true));
    Caller& newest = scene.ask(replacing(lock(), false, true), kForEver);
    CHECK(soon(older));
    CHECK(older.result().outcome == Outcome::dismissed);
    CHECK(reader.result().outcome == Outcome::dismissed);
    CHECK(!newest.answered());
    CHECK_FALSE(holder.told(50ms));
    holder.release();
    CHECK(newest.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("newest wins: both") {
  over_every_store([](Scene& scene) {
    Caller& holder = scene.hold(lock());
    Caller& older = scene.queue(replacing(lock(), false, false));
    Caller& newer = scene.ask(replacing(lock(), true, true), kForEver);
    CHECK(older.result().outcome == Outcome::dismissed);
    check_told(holder, Lease::State::taken);
    Caller& newest = scene.ask(replacing(lock(), true, true), kForEver);
    CHECK(newer.result().outcome == Outcome::dismissed);
    CHECK_FALSE(holder.told(50ms));  // was asked already
    holder.release();
    CHECK(newest.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("a reader replaces the writer in its way and no other reader") {
  over_every_store([](Scene& scene) {
    Caller& reader = scene.hold(lock(true));
    Caller& other = scene.ask(replacing(lock(true), true, false), kForEver);
    CHECK(other.result().outcome == Outcome::admitted);
    CHECK_FALSE(reader.told(50ms));
    other.release();
    reader.release();
    Caller& writer = scene.hold(lock());
    Caller& late = scene.queue(replacing(lock(true), true, false));
    check_told(writer, Lease::State::taken);
    writer.release();
    CHECK(late.result().outcome == Outcome::admitted);
  });
}

TEST_CASE("counters tell what has happened") {
  over_every_store([](Scene& scene) {
    CHECK(scene.situation().created_us == 0);
    const int64_t started = util::realtime_us();
    Caller& holder = scene.hold(pool(1));
    CHECK(scene.outcome(pool(1)) == Outcome::full);
    CHECK(scene.outcome(pool(1), 20ms) == Outcome::timed_out);
    Caller& dismissed = scene.queue(pool(1));
    scene.store().dismiss(Kind::pool, "k");
    CHECK(dismissed.result().outcome == Outcome::dismissed);
    Caller& waiter = scene.queue(pool(1));
    holder.release();
    CHECK(waiter.result().outcome == Outcome::admitted);
    waiter.release();
    scene.store().set_closed(Kind::pool, "k", true);
    CHECK(scene.outcome(pool(1)) == Outcome::closed);
    scene.store().set_closed(Kind::pool, "k", false);
    Claim brief = pool(1);
    brief.expiry = 30ms;
    scene.hold(brief);
    CHECK(scene.outcome(pool(1), kForEver) == Outcome::admitted);

    const store::Situation now = scene.situation();
    CHECK(now.created_us >= started - 5'000'000);
    CHECK(now.created_us <= util::realtime_us());
    CHECK(now.counters.admitted == 4);
    CHECK(now.counters.completed == 3);
    CHECK(now.counters.rejected == 2);
    CHECK(now.counters.timed_out == 1);
    CHECK(now.counters.dismissed == 1);
    CHECK(now.counters.expired == 1);
    CHECK(now.counters.waited_us > 0);
    CHECK(now.counters.longest_wait_us > 0);
    CHECK(now.counters.longest_wait_us <= now.counters.waited_us);
  });
}

TEST_CASE("a picture tells what was asked for") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(2));
    scene.hold(pool(3));
    scene.queue(pool(1));
    const store::Situation now = scene.situation();
    REQUIRE(now.holders.size() == 2);
    CHECK(now.holders[0].max == 2);
    CHECK(now.holders[1].max == 3);
    CHECK_FALSE(now.holders[0].ending);
    REQUIRE(now.waiters.size() == 1);
    CHECK(now.waiters[0].max == 1);
  });
}

TEST_CASE("all keys of a store that matter are listed") {
  over_every_store([](Scene& scene) {
    CHECK(scene.store().list(Kind::pool).empty());
    std::vector<std::unique_ptr<Caller>> holders;
    const std::string all_bytes = [] {
      std::string text;
      for (int byte = 1; byte < 256; ++byte) text += static_cast<char>(byte);
      return text;
    }();
    const std::vector<std::string> keys{"a", "b b", "%41", all_bytes, std::string(512, 'x')};
    for (const std::string& key : keys) {
      Claim claim = pool(3);
      claim.key = key;
      holders.push_back(std::make_unique<Caller>(scene.fixture(), claim, std::nullopt));
      REQUIRE(holders.back()->result().outcome == Outcome::admitted);
    }
    CHECK(scene.outcome(pool(1)) == Outcome::admitted);  // "k": was used, and matters no more
    scene.hold(lock());
    scene.store().resize(Kind::pool, "stored", 7);
    scene.store().set_closed(Kind::pool, "closed", true);

    const auto listed = scene.store().list(Kind::pool);
    std::set<std::string> expected(keys.begin(), keys.end());
    expected.insert({"stored", "closed"});
    std::set<std::string> found;
    for (const store::KeySummary& one : listed) {
      found.insert(one.key);
      CHECK(one.size == (one.key == "stored" || one.key == "closed" ? 0 : 1));
      CHECK(one.waiting == 0);
      CHECK(one.stored == (one.key == "stored"));
      CHECK(one.closed == (one.key == "closed"));
      CHECK(one.max == (one.key == "stored" ? 7 : one.key == "closed" ? 0 : 3));
    }
    CHECK(found == expected);
    CHECK(found.size() == listed.size());
    CHECK(std::is_sorted(listed.begin(), listed.end(),
                         [](const auto& a, const auto& b) { return a.key < b.key; }));
    const auto locks = scene.store().list(Kind::lock);
    REQUIRE(locks.size() == 1);
    CHECK(locks[0].key == "k");

    scene.store().set_closed(Kind::pool, "closed", false);
    scene.store().resize(Kind::pool, "stored", std::nullopt);
    for (auto& holder : holders) holder->release();
    CHECK(scene.store().list(Kind::pool).empty());
  });
}

TEST_CASE("a situation can be waited for") {
  over_every_store([](Scene& scene) {
    const auto free = [](const store::Situation& now) { return now.size < 1; };
    CHECK(code_of(wait_in_child(scene.fixture(), 30s, free)) == 1);
    Caller& holder = scene.hold(pool(1));
    const auto start = util::monotonic_now();
    CHECK(code_of(wait_in_child(scene.fixture(), 100ms, free)) == 0);
    CHECK(util::monotonic_now() - start >= 100ms);

    const pid_t stopped = wait_in_child(scene.fixture(), 30s, free);
    ::usleep(20'000);  // wherever it is by now, the signal ends it
    ::kill(stopped, SIGTERM);
    CHECK(code_of(stopped) == 2);

    const pid_t waiting = wait_in_child(scene.fixture(), 30s, free);
    holder.release();
    CHECK(code_of(waiting) == 1);

    Claim brief = pool(1);
    brief.expiry = 300ms;
    scene.hold(brief);
    CHECK(code_of(wait_in_child(scene.fixture(), 30s, free)) == 1);

    Caller& dying = scene.hold(pool(1));
    const pid_t patient = wait_in_child(scene.fixture(), 30s, free);
    dying.kill(SIGKILL);
    dying.wait();
    CHECK(code_of(patient) == 1);
  });
}

TEST_CASE("a store that works has nothing bad to tell of itself, and is left as it was") {
  over_every_store([](Scene& scene) {
    scene.hold(pool(1));
    for (int i = 0; i < 2; ++i) {
      const auto findings = scene.store().examine();
      CHECK(findings.size() >= 3);
      for (const store::Finding& finding : findings) {
        INFO(finding.text);
        CHECK(finding.text != "");
        CHECK(finding.text.find('\n') == std::string::npos);
        CHECK(finding.grade != store::Finding::Grade::bad);
        CHECK((finding.grade == store::Finding::Grade::good) == finding.advice.empty());
      }
    }
    CHECK(scene.size() == 1);
    CHECK(scene.store().list(Kind::pool).size() == 1);
    CHECK(scene.store().list(Kind::lock).empty());
  });
}

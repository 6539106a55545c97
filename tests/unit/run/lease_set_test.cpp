#include "run/lease_set.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <memory>

#include "errors.h"
#include "util/time.h"

using namespace cachify;
using namespace std::chrono_literals;
using run::LeaseSet;
using State = store::Lease::State;

namespace {

// What one lease is to do, and what was done to it.
struct Script {
  Script(std::string id, uint64_t fence) : grant{std::move(id), fence, 0, 1} {}
  store::Grant grant;
  std::optional<int64_t> next;
  int fd = -1;
  std::deque<State> ticks;
  std::optional<util::Duration> kill_after;
  bool fails = false;
  int started = 0;
};

class ScriptedLease : public store::Lease {
 public:
  ScriptedLease(Script& script, std::string& log) : script_(script), log_(log) {}
  const store::Grant& grant() const noexcept override { return script_.grant; }
  std::optional<int64_t> next_tick() const noexcept override { return script_.next; }
  int tick_fd() const noexcept override { return script_.fd; }
  std::optional<util::Duration> kill_after() const noexcept override { return script_.kill_after; }
  void command_started() noexcept override { ++script_.started; }
  State tick() noexcept override {
    if (script_.ticks.empty()) return State::held;
    const State state = script_.ticks.front();
    script_.ticks.pop_front();
    return state;
  }
  void release() override {
    log_ += script_.grant.id;
    if (script_.fails) throw StoreError(script_.grant.id + " cannot be given back");
  }

 private:
  Script& script_;
  std::string& log_;
};

struct Pipe {
  Pipe() { REQUIRE(pipe(ends.data()) == 0); }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  std::array<int, 2> ends{};
};

bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, 0) == 1;
}

// Of the keys c, a and b.
struct Fixture {
  std::string released;
  Script a{"A", 1}, b{"B", 2}, c{"C", 3};
  LeaseSet set{{"c", "a", "b"}};

  void add(Script& script) { set.add(std::make_unique<ScriptedLease>(script, released)); }
  void add_all() {
    for (Script* script : {&a, &b, &c}) add(*script);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "keys are taken in the order of their bytes, and told in the one given") {
  std::string order;
  for (Script* script : {&a, &b, &c}) {
    order += *set.next_key();
    add(*script);
  }
  CHECK(order == "abc");
  CHECK(set.next_key() == nullptr);
  std::string told;
  for (const auto& part : set.parts()) told += part->grant().id;
  CHECK(told == "CAB");
  CHECK(*LeaseSet({"b", "\xff", "B", "a"}).next_key() == "B");
}

TEST_CASE_FIXTURE(Fixture, "what expires before all are there is not held any more") {
  set.add(std::make_unique<ScriptedLease>(a, released), std::chrono::hours(1));
  add(b);
  CHECK(set.all_held());
  const auto look = set.next_tick();
  REQUIRE(look);
  CHECK(*look > util::boottime_ns());
  add(c);
  CHECK_FALSE(set.next_tick());  // the command would go on after it

  LeaseSet other{{"x", "w"}};
  other.add(std::make_unique<ScriptedLease>(a, released), util::Duration(1));
  CHECK_FALSE(other.all_held());
  CHECK(other.has_expired());
  CHECK(other.lost_key() == "w");
}

TEST_CASE_FIXTURE(Fixture, "a lease that more are to follow is one without a command") {
  add(a);
  CHECK(a.started == 1);
  add(b);
  add(c);
  CHECK(c.started == 0);
  set.command_started();
  CHECK(c.started == 1);
}

TEST_CASE_FIXTURE(Fixture, "they are given back in reverse, all of them whatever happens") {
  add_all();
  b.fails = c.fails = true;
  CHECK_THROWS_WITH_AS(set.release(), "C cannot be given back", StoreError);
  CHECK(released == "CBA");
}

TEST_CASE_FIXTURE(Fixture, "what was not taken is not given back") {
  add(a);
  set.release();
  CHECK(released == "A");
}

TEST_CASE_FIXTURE(Fixture, "the earliest tick counts") {
  CHECK_FALSE(set.next_tick());
  add_all();
  CHECK_FALSE(set.next_tick());
  c.next = 7;
  CHECK(set.next_tick() == 7);
  a.next = 9;
  b.next = 3;
  CHECK(set.next_tick() == 3);
}

TEST_CASE_FIXTURE(Fixture, "one descriptor stands for those of all, also when they change") {
  add_all();
  CHECK(set.tick_fd() == -1);
  const Pipe one, two, three;
  b.fd = one.ends[0];
  CHECK(set.tick_fd() == one.ends[0]);
  a.fd = two.ends[0];
  CHECK_FALSE(readable(set.tick_fd()));
  REQUIRE(write(two.ends[1], "x", 1) == 1);
  CHECK(readable(set.tick_fd()));
  a.fd = three.ends[0];
  CHECK_FALSE(readable(set.tick_fd()));
  REQUIRE(write(three.ends[1], "x", 1) == 1);
  CHECK(readable(set.tick_fd()));
}

TEST_CASE_FIXTURE(Fixture, "lost and taken hold for all as soon as for one") {
  add_all();
  CHECK(set.tick() == State::held);
  a.ticks = {State::lost};
  CHECK(set.tick() == State::lost);
  a.ticks = {State::lost};
  b.ticks = {State::taken};
  b.kill_after = 3s;
  CHECK_FALSE(set.kill_after());
  CHECK(set.tick() == State::taken);
  CHECK(set.kill_after() == util::Duration(3s));
}

TEST_CASE_FIXTURE(Fixture, "they are released when the last one is, and that is told once") {
  add_all();
  a.ticks = {State::released};
  CHECK(set.tick() == State::held);
  b.ticks = c.ticks = {State::released};
  CHECK(set.tick() == State::released);
  CHECK(set.tick() == State::held);
}

TEST_CASE_FIXTURE(Fixture, "while more are to come, one that is not held any more ends it") {
  add(a);
  add(b);
  CHECK(set.all_held());
  for (const State state : {State::lost, State::taken, State::released}) {
    LeaseSet other{{"x", "w"}};
    Script w("W", 1);
    other.add(std::make_unique<ScriptedLease>(w, released));
    w.ticks = {state};
    CHECK_FALSE(other.all_held());
    CHECK_FALSE(other.all_held());
    CHECK(other.lost_key() == "w");
  }
}

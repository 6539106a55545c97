#include "show/changes.h"

#include <doctest/doctest.h>

#include <functional>

#include "unit/show/situations.h"

using namespace cachify;
using namespace cachify::test;
using store::Kind;
using store::Situation;

namespace {

std::string told(const Situation& before, const Situation& after, Kind kind = Kind::pool) {
  std::string text;
  for (const show::Line& line : show::changes_between(kind, before, after, kNow))
    text += show::rendered(line, {}) + "\n";
  CHECK(text.empty() != show::differs(before, after));
  return text;
}

// What is told when this happens to a busy pool.
std::string after(const std::function<void(Situation&)>& change) {
  Situation changed = busy();
  change(changed);
  return told(busy(), changed);
}

}  // namespace

TEST_CASE("the same picture a moment later is no change") {
  CHECK(after([](Situation& now) { now.holders[0].expires_in_ms = 5; }).empty());
  CHECK(told({}, {}).empty());
}

TEST_CASE("a slot is taken and given back") {
  CHECK(after([](Situation& now) {
          now.holders.erase(now.holders.begin());
          now.size = 1;
        }) == "- slot 0 given back by pid 12 (alice) after 3m12s: ./job.sh\n");
  CHECK(after([](Situation& now) {
          now.holders.push_back(holder(3, 15, 0));
          now.size = 3;
        }) == "+ slot 3 taken by pid 15 (alice): ./job.sh\n");
}

TEST_CASE("who waited and was admitted is told once") {
  CHECK(after([](Situation& now) {
          now.waiters.clear();
          now.holders.push_back(holder(1, 14, 0));
          now.holders.back().id = "w14";
        }) == "+ slot 1 taken by pid 14 (alice), who waited 1m1s: ./job.sh\n");
}

TEST_CASE("the queue grows and shrinks") {
  CHECK(after([](Situation& now) { now.waiters.push_back(waiter(2, 15, 0)); }) ==
        "+ pid 15 (alice) waits in place 2: ./later.sh\n");
  CHECK(after([](Situation& now) { now.waiters.clear(); }) ==
        "- pid 14 (alice) waits no more, after 1m1s: ./later.sh\n");
}

TEST_CASE("a holder loses its cachify or is asked to end") {
  CHECK(after([](Situation& now) { now.holders[1].orphan = true; }) ==
        "! slot 2: its cachify was killed, pid 13 (alice): ./job.sh\n");
  CHECK(after([](Situation& now) { now.holders[1].ending = true; }) ==
        "! slot 2: asked to end, pid 13 (alice): ./job.sh\n");
}

TEST_CASE("the cap and the closing") {
  CHECK(after([](Situation& now) { now.stored_max = 3; }) == "! the cap is 3 now\n");
  CHECK(after([](Situation& now) { now.closed = true; }) == "! closed\n");
  Situation before = busy(), later = busy();
  before.stored_max = 3;
  before.closed = true;
  later.stored_max = 5;
  CHECK(told(before, later) == "! open again\n! the cap is 5 now, it was 3\n");
  later = before;
  later.stored_max.reset();
  CHECK(told(before, later) == "! no stored cap any more\n");
}

TEST_CASE("what happened between two looks shows in the counters") {
  CHECK(after([](Situation& now) { now.counters.rejected = 2; }) == "! 2 rejected\n");
  CHECK(after([](Situation& now) {
          now.counters.admitted = 3;
          now.counters.completed = 3;
        }) == "! 3 came and went\n");
  CHECK(after([](Situation& now) {
          now.counters.admitted = 1;
          now.holders.push_back(holder(3, 15, 0));
        }) == "+ slot 3 taken by pid 15 (alice): ./job.sh\n");
  CHECK(after([](Situation& now) { now.counters.longest_wait_us = 1; }) ==
        "! the books were changed\n");
}

TEST_CASE("a lock has no slot numbers") {
  Situation before, later;
  later.holders = {holder(0, 12, 0)};
  later.size = 1;
  CHECK(told(before, later, Kind::lock) == "+ the lock taken by pid 12 (alice): ./job.sh\n");
}

TEST_CASE("a map begins and ends; its figures are a change, but no news") {
  CHECK(after([](Situation& now) { now.maps.push_back(map_of(21, 0)); }) ==
        "+ map of pid 21 (alice) began: ./load {}\n");
  Situation before = busy();
  before.maps = {map_of(21, 90)};
  CHECK(told(before, busy()) == "- map of pid 21 (alice) ended after 1m30s: ./load {}\n");
  Situation later = before;
  ++later.maps[0].figures.done;
  CHECK(show::differs(before, later));
  CHECK(show::changes_between(Kind::pool, before, later, kNow).empty());
}

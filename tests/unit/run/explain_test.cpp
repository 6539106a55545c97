#include "run/explain.h"

#include <doctest/doctest.h>

using namespace cachify;

namespace {

constexpr int64_t kNow = 1'800'000'000'000'000;

store::HolderInfo holder(int32_t pid, int64_t seconds_ago) {
  store::HolderInfo info;
  info.who = {pid, 1000, "alice", "", "./job.sh"};
  info.since_us = kNow - seconds_ago * 1'000'000;
  return info;
}

}  // namespace

TEST_CASE("a situation names the holder that came first, and how many more there are") {
  store::Situation situation;
  situation.holders = {holder(5, 10), holder(123, 192), holder(6, 7), holder(7, 8)};
  CHECK(run::situation_text(situation, 3, kNow) ==
        "place 3 in the queue; held by pid 123 (alice) for 3m12s: ./job.sh, and 3 more");
}

TEST_CASE("a situation without a place of ours counts who waits") {
  store::Situation situation;
  situation.holders = {holder(5, 10)};
  situation.waiters.resize(2);
  CHECK(run::situation_text(situation, 0, kNow) ==
        "held by pid 5 (alice) for 10s: ./job.sh; waiting: 2");
}

TEST_CASE("a holder on another host, one whose cachify was killed, and none") {
  store::Situation situation;
  CHECK(run::situation_text(situation, 1, kNow) == "place 1 in the queue; held by nobody now");
  situation.size = 3;
  situation.with_who = false;
  CHECK(run::situation_text(situation, 0, kNow) == "in use: 3");
  situation.with_who = true;

  situation.holders = {holder(5, 10)};
  situation.holders[0].who.host = "elsewhere.example";
  situation.holders[0].who.user.clear();
  CHECK(run::situation_text(situation, 0, kNow) ==
        "held by pid 5 on elsewhere.example for 10s: ./job.sh");

  situation.holders = {holder(5, 10)};
  situation.holders[0].orphan = true;
  CHECK(run::situation_text(situation, 0, kNow) ==
        "held by pid 5 (alice) for 10s, its cachify was killed: ./job.sh");
}

TEST_CASE("the name of a local user comes from the password file") {
  store::Situation situation;
  situation.holders = {holder(5, 10)};
  situation.holders[0].who.user.clear();
  situation.holders[0].who.uid = 0;
  CHECK(run::situation_text(situation, 0, kNow) == "held by pid 5 (root) for 10s: ./job.sh");
  situation.holders[0].who.uid = 4'000'000'123;
  CHECK(run::situation_text(situation, 0, kNow) ==
        "held by pid 5 (uid 4000000123) for 10s: ./job.sh");
}

TEST_CASE("a clock that was set back makes no negative span") {
  store::Situation situation;
  situation.holders = {holder(5, -100)};
  CHECK(run::situation_text(situation, 0, kNow) == "held by pid 5 (alice) for 0s: ./job.sh");
}

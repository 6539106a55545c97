#include "show/situation_text.h"

#include <doctest/doctest.h>

#include "unit/show/situations.h"

using namespace cachify;
using namespace cachify::test;
using store::Kind;

namespace {

std::string text_of(const store::Situation& now) {
  return show::joined(show::situation_lines(now, kNow, {}));
}

std::string headline_of(Kind kind, const store::Situation& now) {
  return show::rendered(show::headline({kind, "jobs", "file:"}, now), {});
}

}  // namespace

TEST_CASE("the headline tells the use of a pool") {
  store::Situation now;
  CHECK(headline_of(Kind::pool, now) == "pool jobs: 0 slots in use (file:)");
  now = busy();
  CHECK(headline_of(Kind::pool, now) == "pool jobs: 2 of 4 slots in use, 1 waiting (file:)");
  now.stored_max = 1;
  now.closed = true;
  CHECK(headline_of(Kind::pool, now) ==
        "pool jobs: 2 of 1 slot in use (stored cap), 1 waiting, closed (file:)");
}

TEST_CASE("the headline tells the use of a lock") {
  store::Situation now;
  CHECK(headline_of(Kind::lock, now) == "lock jobs: free (file:)");
  now.size = 1;
  now.holders = {holder(0, 12, 1)};
  CHECK(headline_of(Kind::lock, now) == "lock jobs: held (file:)");
  now.size = 2;
  now.holders = {holder(0, 12, 1), holder(1, 13, 1)};
  for (auto& reader : now.holders) reader.shared = true;
  CHECK(headline_of(Kind::lock, now) == "lock jobs: held by 2 readers (file:)");
}

TEST_CASE("a key that never was has nothing below the headline") {
  CHECK(text_of({}).empty());
}

TEST_CASE("holders and waiters stand in tables of their own") {
  CHECK(text_of(busy()) ==
        "\n"
        "SLOT  ID   PID  USER    HELD  COMMAND\n"
        "   0  h12   12  alice  3m12s  ./job.sh\n"
        "   2  h13   13  alice     7s  ./job.sh\n"
        "\n"
        "PLACE  ID   PID  USER   WAITS  COMMAND\n"
        "    1  w14   14  alice   1m1s  ./later.sh\n");
}

TEST_CASE("what is out of the ordinary has columns only where it occurs") {
  store::Situation now;
  now.holders = {holder(0, 12, 192), holder(1, 13, 7)};
  now.holders[0].orphan = true;
  now.holders[0].expires_in_ms = 59'900;
  now.holders[1].who.host = "elsewhere";
  now.holders[1].who.user.clear();
  now.holders[1].weight = 3;
  now.holders[1].shared = true;
  now.holders[1].ending = true;
  now.waiters = {waiter(1, 14, 61)};
  now.waiters[0].priority = -5;
  CHECK(text_of(now) ==
        "\n"
        "SLOT  ID   PID  USER   HOST        HELD  EXPIRES  NOTE                      COMMAND\n"
        "   0  h12   12  alice             3m12s      59s  orphan                    ./job.sh\n"
        "   1  h13   13  1000   elsewhere     7s           shared, weight 3, ending  ./job.sh\n"
        "\n"
        "PLACE  ID   PRIO  PID  USER   WAITS  COMMAND\n"
        "    1  w14    -5   14  alice   1m1s  ./later.sh\n");
}

TEST_CASE("the counters stand below, once there are any books") {
  store::Situation now;
  now.created_us = kNow - 3'600'000'000;
  now.counters = {.admitted = 4,
                  .completed = 3,
                  .rejected = 2,
                  .timed_out = 1,
                  .dismissed = 5,
                  .expired = 6,
                  .waited_us = 6'000'000,
                  .longest_wait_us = 192'500'000};
  CHECK(text_of(now) ==
        "\n4 admitted, 3 completed, 6 expired; counted for 1h\n"
        "2 rejected, 1 timed out, 5 dismissed\n"
        "waited 1.5s on average, 3m12s at most\n");
}

TEST_CASE("a clock that was set back makes no negative age") {
  CHECK(show::age_text(kNow + 5'000'000, kNow) == "0s");
}

TEST_CASE("a list has a row for each key") {
  const std::vector<store::KeySummary> keys = {{"a", 3, 0, 4, true, false},
                                               {"b\n", 0, 12, 0, false, true}};
  CHECK(show::joined(show::list_lines(Kind::pool, keys, {})) ==
        "KEY  IN USE  MAX  WAITING  NOTE\n"
        "a         3    4        0  stored cap\n"
        "b\\n       0    -       12  closed\n");
  CHECK(show::joined(show::list_lines(Kind::lock, {{"a", 3, 0, 1, false, false}}, {})) ==
        "KEY  HOLDERS  WAITING\n"
        "a          3        0\n");
  CHECK(show::list_lines(Kind::pool, {}, {}).empty());
}

TEST_CASE("maps stand in a table of their own, also when they hold nothing") {
  store::Situation now;
  now.maps = {map_of(21, 90), map_of(22, 5)};
  now.maps[1].who.host = "elsewhere";
  CHECK(text_of(now) ==
        "\n"
        "MAP  USER   HOST          UP  QUEUED  RUNNING  DONE  FAILED  IDLE  COMMAND\n"
        " 21  alice             1m30s      64        4   117       2     1  ./load {}\n"
        " 22  alice  elsewhere     5s      64        4   117       2     1  ./load {}\n");
}

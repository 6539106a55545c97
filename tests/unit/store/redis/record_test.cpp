#include "store/redis/record.h"

#include <doctest/doctest.h>

#include "store/redis/failure.h"
#include "store/redis/scripts.h"

using namespace cachify::store;
using namespace cachify::store::redis;

TEST_CASE("who somebody is comes back as it was") {
  Who who;
  who.pid = 12;
  who.uid = 1000;
  who.user = "a b%20";
  who.host = "";
  who.command = "sh -c 'x  y'\nz";
  const WhoRecord record = parse_who(text_of(who, 4026531836));
  CHECK(record.who.pid == 12);
  CHECK(record.who.uid == 1000);
  CHECK(record.who.user == "a b%20");
  CHECK(record.who.host.empty());
  CHECK(record.who.command == who.command);
  CHECK(record.pid_namespace == 4026531836);
}

TEST_CASE("a record of the books") {
  const Record record = parse_record("17 1000 2000 3-4,7-7 3 0 9 0 1 2 3 user host cmd x");
  CHECK(record.fence == 17);
  CHECK(record.since_us == 1000);
  CHECK(record.hard_end_us == 2000);
  CHECK(record.slot == 3);
  CHECK(record.weight == 3);
  CHECK(!record.shared);
  CHECK(record.who.who.command == "cmd x");
  CHECK(parse_record("0 1 0 - 1 1 9 0 1 2 3 - -  ").shared);
}

TEST_CASE("a damaged record is an error, not a guess") {
  for (const char* text :
       {"", "x", "1 2 3", "-1 1 0 - 1 1 9 0 1 2 3 u h c", "1 1 0 x 1 1 9 0 1 2 3 u h c",
        "1 1 0 0-0 1 1 9 0 1 2 x u h c", "99999999999999999999 1 0 - 1 1 9 0 1 2 3 u h c"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_record(text), Failure);
  }
}

TEST_CASE("names of keys keep pools, locks and strange characters apart") {
  CHECK(Keys("cachify:", Kind::pool, "jobs").names[0] == "cachify:pool:{jobs}:h");
  CHECK(Keys("cachify:", Kind::lock, "jobs").names[6] == "cachify:lock:{jobs}:b");
  CHECK(Keys("p{}", Kind::lock, "a{b}%").names[1] == "p%7B%7Dlock:{a%7Bb%7D%25}:q");
  CHECK(Keys("", Kind::lock, "a").wake_up("id") == "lock:{a}:g:id");
}

#include "store/redis/record.h"

#include <doctest/doctest.h>

#include "store/redis/books.h"
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

TEST_CASE("names of books lead back to their keys, and to nobody else's") {
  for (const char* key : {"jobs", "a{b}%", "%7B", "*?[x]\\", "}:m", "ü \n"}) {
    CAPTURE(key);
    const std::string name = Keys("p{}*:", Kind::pool, key).base + "m";
    CHECK(key_of_books(name, "p{}*:", Kind::pool) == key);
    CHECK_FALSE(key_of_books(name, "p{}*:", Kind::lock));
    CHECK_FALSE(key_of_books(name, "p", Kind::pool));
    CHECK_FALSE(key_of_books(name + "m", "p{}*:", Kind::pool));
  }
  CHECK_FALSE(key_of_books("pool:{}:m", "", Kind::pool));
  CHECK_FALSE(key_of_books("pool:{a}b}:m", "", Kind::pool));
  CHECK(pattern_of_books("a*[b]?\\", Kind::lock) == "a\\*\\[b\\]\\?\\\\lock:{*}:m");
}

TEST_CASE("marks come back as they were, and others mean nothing") {
  using std::chrono::milliseconds;
  const Mark end = parse_mark(text_of(Mark{false, true, milliseconds(1500)}));
  CHECK(end.end_command);
  CHECK_FALSE(end.given_back);
  CHECK(end.kill_after == milliseconds(1500));
  CHECK_FALSE(parse_mark(text_of(Mark{false, true, {}})).kill_after);
  const Mark back = parse_mark(text_of(Mark{true, false, {}}));
  CHECK(back.given_back);
  CHECK_FALSE(back.end_command);
  const Mark both = parse_mark("RT 2000");
  CHECK(both.given_back);
  CHECK(both.end_command);
  CHECK(both.kill_after == milliseconds(2));
  for (const char* text : {"", "D", "N", "rubbish"}) {
    CHECK_FALSE(parse_mark(text).given_back);
    CHECK_FALSE(parse_mark(text).end_command);
  }
  for (const char* text : {"T x", "T 99999999999999999999", "T", "T "}) {
    CHECK(parse_mark(text).end_command);
    CHECK_FALSE(parse_mark(text).kill_after);
  }
}

TEST_CASE("a map comes back as it was, and what is none throws") {
  const MapInfo map = parse_map("1000 64 4 117 2 1 3 1000 4026531836 alice box ./load {}");
  CHECK(map.since_us == 1000);
  CHECK(text_of(map.figures) == "64 4 117 2 1");
  CHECK(map.who.pid == 3);
  CHECK(map.who.user == "alice");
  CHECK(map.who.host == "box");
  CHECK(map.who.command == "./load {}");
  for (const char* text : {"", "1000", "1000 64 4 117 2", "1000 64 4 x 2 1 3 1000 1 a b c",
                           "1000 64 4 117 2 1 3 1000 1 a"}) {
    CHECK_THROWS_AS(parse_map(text), Failure);
  }
}

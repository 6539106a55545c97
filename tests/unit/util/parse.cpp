#include "util/parse.h"

#include <doctest/doctest.h>

#include <string>

using namespace cachify::util;
using namespace std::chrono_literals;

TEST_CASE("a duration without a unit is in seconds") {
  CHECK(parse_duration("90") == Duration(90s));
  CHECK(parse_duration("1.5") == Duration(1500ms));
  CHECK(parse_duration(".5") == Duration(500ms));
  CHECK(parse_duration("0") == Duration::zero());
  CHECK(parse_duration("007") == Duration(7s));
}

TEST_CASE("a duration may have a unit, and a fraction before it") {
  CHECK(parse_duration("200ms") == Duration(200ms));
  CHECK(parse_duration("90s") == Duration(90s));
  CHECK(parse_duration("5m") == Duration(5min));
  CHECK(parse_duration("2h") == Duration(2h));
  CHECK(parse_duration("1d") == Duration(24h));
  CHECK(parse_duration("1.5h") == Duration(90min));
  CHECK(parse_duration("0.5ms") == Duration(500us));
  CHECK(parse_duration(".123456789d") == Duration(10'666'666'569'600ns));
}

TEST_CASE("a duration that is not quite nothing stays more than nothing") {
  CHECK(parse_duration("0.0000000001") == Duration(1ns));
  CHECK(parse_duration("0.0000001ms") == Duration(1ns));
  CHECK(parse_duration("1.0000000000000000000000000000000001") == Duration(1'000'000'001ns));
  CHECK(parse_duration("1." + std::string(1000, '0')) == Duration(1s));
}

TEST_CASE("what is no duration is refused") {
  for (const char* text : {"",      " ",    ".",    "1.",  "s",   "ms",  "-1",      "+1", "1e3",
                           "inf",   "nan",  "none", "1 s", " 1",  "1 ",  "1.5.5",   "5M", "5min",
                           "1h30m", "0x10", "1,5",  "1s2", "..5", "1.s", "\xd9\xa1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("a duration has a largest value and never wraps") {
  CHECK(parse_duration("36500d") == kLongest);
  CHECK(parse_duration("3153600000") == kLongest);
  CHECK_FALSE(parse_duration("36500.1d"));
  CHECK_FALSE(parse_duration("36501d"));
  CHECK_FALSE(parse_duration("3153600000.000000001"));
  CHECK_FALSE(parse_duration("9223372036854775807"));
  CHECK_FALSE(parse_duration("18446744073709551617"));
  CHECK_FALSE(parse_duration(std::string(100, '9')));
}

TEST_CASE("an integer is all of the text and within its bounds") {
  CHECK(parse_integer("0", 0, 255) == 0);
  CHECK(parse_integer("255", 0, 255) == 255);
  CHECK(parse_integer("-100", -100, 100) == -100);
  CHECK(parse_integer("0010", 0, 255) == 10);
  for (const char* text : {"", "256", "-1", "600", "1 ", " 1", "+1", "1.0", "0x1", "1e2", "--1",
                           "-", "18446744073709551617", "9223372036854775808", "4294967296"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_integer(text, 0, 255));
  }
}

TEST_CASE("a switch knows six words") {
  for (const char* text : {"1", "true", "yes"}) CHECK(parse_switch(text) == true);
  for (const char* text : {"0", "false", "no"}) CHECK(parse_switch(text) == false);
  for (const char* text : {"", "on", "TRUE", "2", "y", "01"}) CHECK_FALSE(parse_switch(text));
}

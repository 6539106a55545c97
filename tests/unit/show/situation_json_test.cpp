#include "show/situation_json.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "unit/show/situations.h"

using namespace cachify;
using namespace cachify::test;
using Json = nlohmann::ordered_json;
using store::Kind;

namespace {

const show::Subject kPool{Kind::pool, "jobs", "file:"};
const show::Subject kLock{Kind::lock, "jobs", "file:"};

}  // namespace

TEST_CASE("a key that never was has no max and no uptime") {
  CHECK(show::situation_json(kPool, {}, kNow).dump() ==
        R"({"key":"jobs","kind":"pool","store":"file:","max":null,"stored_max":null,"size":0,)"
        R"("free":null,"waiting":0,"closed":false,"holders":[],"waiters":[],"counters":)"
        R"({"admitted":0,"rejected":0,"timed_out":0,"dismissed":0,"expired":0,"completed":0,)"
        R"("longest_wait":0.0,"mean_wait":0.0},"uptime":null,"maps":[]})");
}

TEST_CASE(
    "max is the stored cap, else the largest N of who holds or waits; free is never negative") {
  store::Situation now = busy();
  now.waiters[0].max = 7;
  Json told = show::summary_json(kPool, now);
  CHECK(told["max"] == 7);
  CHECK(told["stored_max"] == nullptr);
  CHECK(told["free"] == 5);
  now.stored_max = 1;
  told = show::summary_json(kPool, now);
  CHECK(told["max"] == 1);
  CHECK(told["stored_max"] == 1);
  CHECK(told["free"] == 0);
}

TEST_CASE("a lock has one slot") {
  CHECK(show::summary_json(kLock, store::Situation{})["max"] == 1);
  CHECK(show::summary_json(kLock, store::Situation{})["free"] == 1);
  CHECK(show::summary_json(kLock, store::KeySummary{"jobs", 3, 0, 3, false, false})["max"] == 1);
}

TEST_CASE("a key of the list is told like its status") {
  const Json listed = show::summary_json(kPool, store::KeySummary{"jobs", 2, 1, 4, false, false});
  CHECK(listed == show::summary_json(kPool, busy()));
  CHECK(show::summary_json(kPool, store::KeySummary{"jobs", 2, 1, 4, true, true})["stored_max"] ==
        4);
  CHECK(show::summary_json(kPool, store::KeySummary{"jobs", 0, 0, 0, false, true})["max"] ==
        nullptr);
}

TEST_CASE("holders and waiters are told with times in seconds, and exact fences") {
  store::Situation now = busy();
  now.holders[0].expires_in_ms = 1500;
  now.holders[0].fence = 9'007'199'254'740'991;
  const Json told = show::situation_json(kPool, now, kNow + 123'456);
  const Json& first = told["holders"][0];
  CHECK(first["age"] == 192.123);
  CHECK(first["expires"] == 1.5);
  CHECK(first["fence"] == 9'007'199'254'740'991);
  CHECK(first["since"] == "2027-01-15T07:56:48.000Z");
  CHECK(told["holders"][1]["expires"] == nullptr);
  CHECK(told["waiters"][0]["position"] == 1);
  CHECK(told["waiters"][0]["command"] == "./later.sh");
}

TEST_CASE("what is no UTF-8 still gives a line of JSON") {
  store::Situation now = busy();
  now.holders[0].who.command = "a\xff\nb";
  now.holders[0].who.host = "\xc3";
  const std::string line =
      show::json_line(show::situation_json({Kind::pool, "\xfe", "file:\xff"}, now, kNow));
  CHECK(line.find('\n') == line.size() - 1);
  const Json told = Json::parse(line);
  CHECK(told["key"] == "\ufffd");
  CHECK(told["holders"][0]["command"] == "a\ufffd\nb");
}

TEST_CASE("a map is told with its figures") {
  store::Situation now;
  now.maps = {map_of(21, 90)};
  CHECK(show::situation_json(kPool, now, kNow)["maps"].dump() ==
        R"([{"host":")" + util::host_name() +
            R"(","pid":21,"user":"alice","command":"./load {}","since":"2027-01-15T07:58:30.000Z",)"
            R"("uptime":90.0,"queued":64,"running":4,"done":117,"failed":2,"idle":1}])");
}

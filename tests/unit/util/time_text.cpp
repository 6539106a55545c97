#include "util/time_text.h"

#include <doctest/doctest.h>

using namespace cachify;
using namespace std::chrono_literals;
using util::span_text;

TEST_CASE("a span is told in at most two units") {
  CHECK(span_text(0ns) == "0s");
  CHECK(span_text(200ms) == "200ms");
  CHECK(span_text(1500ms) == "1.5s");
  CHECK(span_text(1050ms) == "1.05s");
  CHECK(span_text(2s) == "2s");
  CHECK(span_text(60s) == "1m");
  CHECK(span_text(192s) == "3m12s");
  CHECK(span_text(2h) == "2h");
  CHECK(span_text(2h + 5min + 7s) == "2h5m");
  CHECK(span_text(50h) == "2d2h");
}

TEST_CASE("a time of the wall clock is told in UTC, with milliseconds") {
  CHECK(util::rfc3339(1'800'000'000'123'999) == "2027-01-15T08:00:00.123Z");
  CHECK(util::rfc3339(0) == "1970-01-01T00:00:00.000Z");
  CHECK(util::clock_text(1'800'000'000'000'000).size() == 8);
}

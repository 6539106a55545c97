#include "util/suggest.h"

#include <doctest/doctest.h>

using cachify::util::nearest;

TEST_CASE("a near name is suggested, and nothing when none is near") {
  const std::vector<std::string_view> names = {"max", "key", "timeout", "queue-max", "wait"};
  CHECK(nearest("maxx", names) == "max");
  CHECK(nearest("tiimeout", names) == "timeout");
  CHECK(nearest("queue", names) == "queue-max");
  CHECK(nearest("k", names) == "");
  CHECK(nearest("retries", names) == "");
  CHECK(nearest("xyzzy", names) == "");
  CHECK(nearest("", names) == "");
}

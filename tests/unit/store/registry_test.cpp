#include "store/registry.h"

#include <doctest/doctest.h>

using namespace cachify::store;

TEST_CASE("the prefix of those who choose none is the scheme's own") {
  CHECK(default_prefix("file:") == "cachify:");
  CHECK(default_prefix("redis://host") == "cachify:");
  CHECK(default_prefix("py-cachify+redis://host") == "PYC-");
  CHECK(default_prefix("py-cachify+redis+unix:///a.sock") == "PYC-");
  CHECK(default_prefix("nonsense") == "cachify:");
}

#include "run/steer.h"

#include <doctest/doctest.h>

using namespace cachify;
using run::is_so;
using run::Until;

namespace {

// Holders, and then waiters, with these N.
store::Situation pool(const std::vector<int64_t>& holders,
                      const std::vector<int64_t>& waiters = {}) {
  store::Situation situation;
  for (const int64_t max : holders) {
    situation.holders.emplace_back().max = max;
    ++situation.size;
  }
  for (const int64_t max : waiters) situation.waiters.emplace_back().max = max;
  return situation;
}

}  // namespace

TEST_CASE("a pool is empty when nobody holds, and idle when nobody waits either") {
  CHECK(is_so(Until::empty, pool({})));
  CHECK(is_so(Until::empty, pool({}, {2})));
  CHECK_FALSE(is_so(Until::empty, pool({2})));
  CHECK(is_so(Until::idle, pool({})));
  CHECK_FALSE(is_so(Until::idle, pool({}, {2})));
  CHECK_FALSE(is_so(Until::idle, pool({2})));
}

TEST_CASE("a pool is free when a newcomer would be let in") {
  CHECK(is_so(Until::free, pool({})));
  CHECK(is_so(Until::free, pool({2})));
  CHECK(is_so(Until::free, pool({1, 3})));
  CHECK_FALSE(is_so(Until::free, pool({2, 2})));
  CHECK_FALSE(is_so(Until::free, pool({5}, {5})));
  CHECK_FALSE(is_so(Until::free, pool({}, {5})));
  // Who named none is measured by the stored one; it was taken away.
  CHECK_FALSE(is_so(Until::free, pool({0})));

  store::Situation stored = pool({5, 5});
  stored.stored_max = 2;
  CHECK_FALSE(is_so(Until::free, stored));
  stored.stored_max = 3;
  CHECK(is_so(Until::free, stored));
  stored.closed = true;
  CHECK_FALSE(is_so(Until::free, stored));
  CHECK(is_so(Until::empty, pool({})));
}

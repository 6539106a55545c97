#include "store/inherited.h"

#include <doctest/doctest.h>

#include <cstdlib>

using cachify::store::is_inherited;

TEST_CASE("a slot is inherited when CACHIFY_ID names it, in a line of its own") {
  unsetenv("CACHIFY_ID");
  CHECK_FALSE(is_inherited("1a"));
  setenv("CACHIFY_ID", "1a", 1);
  CHECK(is_inherited("1a"));
  CHECK_FALSE(is_inherited("1"));
  CHECK_FALSE(is_inherited("a"));
  setenv("CACHIFY_ID", "1a\n2b\n3c", 1);
  for (const char* id : {"1a", "2b", "3c"}) CHECK(is_inherited(id));
  for (const char* id : {"", "1a\n2b", "b", "2", "4d"}) CHECK_FALSE(is_inherited(id));
  unsetenv("CACHIFY_ID");
}

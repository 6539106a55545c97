#include "cli/key.h"

#include <doctest/doctest.h>

#include "errors.h"

using cachify::UsageError;
using cachify::cli::resolve_key;

TEST_CASE("a key without braces is itself") {
  CHECK(resolve_key("jobs", {}, {}) == "jobs");
  CHECK(resolve_key("a b\nc\xff", {}, {}) == "a b\nc\xff");
}

TEST_CASE("fields are filled from names and from the command") {
  CHECK(resolve_key("db-{host}", {{"host", "a1"}}, {}) == "db-a1");
  CHECK(resolve_key("{0}:{1}:{2}", {}, {"./job", "x", ""}) == "./job:x:");
  CHECK(resolve_key("{_a1}{_a1}", {{"_a1", "z"}}, {}) == "zz");
  CHECK(resolve_key("{01}", {}, {"c", "first"}) == "first");
}

TEST_CASE("the last value of a name wins") {
  CHECK(resolve_key("{a}", {{"a", "1"}, {"b", "2"}, {"a", "3"}}, {}) == "3");
}

TEST_CASE("doubled braces are literal") {
  CHECK(resolve_key("{{}}", {}, {}) == "{}");
  CHECK(resolve_key("{{a}}", {{"a", "1"}}, {}) == "{a}");
  CHECK(resolve_key("{{{a}}}", {{"a", "1"}}, {}) == "{1}");
}

TEST_CASE("what fills a field is not looked at again") {
  CHECK(resolve_key("{a}", {{"a", "{b}{{}}"}, {"b", "x"}}, {}) == "{b}{{}}");
  CHECK(resolve_key("{a}-{0}", {{"a", "{0}"}}, {"{a}"}) == "{0}-{a}");
}

TEST_CASE("a field that nothing fills is refused") {
  CHECK_THROWS_AS(resolve_key("{host}", {{"hos", "a"}}, {}), UsageError);
  CHECK_THROWS_WITH_AS(
      resolve_key("{0}", {}, {}),
      "nothing fills '{0}' in the key; COMMAND and its arguments are not given here", UsageError);
  CHECK_THROWS_WITH_AS(resolve_key("{1}", {}, {"a"}),
                       "nothing fills '{1}' in the key; COMMAND is {0}, and has no arguments",
                       UsageError);
  CHECK_THROWS_WITH_AS(resolve_key("{2}", {}, {"a", "b"}),
                       "nothing fills '{2}' in the key; COMMAND and its arguments are {0} to {1}",
                       UsageError);
  CHECK_THROWS_AS(resolve_key("{18446744073709551616}", {}, {"a"}), UsageError);
}

TEST_CASE("what is neither field nor literal is refused") {
  for (const char* format : {"{", "}", "a{", "a}b", "{a", "{}", "{ a }", "{a b}", "{-1}", "{a{b}}",
                             "{1a}", "{a}}", "{{a}", "{a!r}"}) {
    CAPTURE(format);
    CHECK_THROWS_AS(resolve_key(format, {{"a", "1"}}, {"x", "y"}), UsageError);
  }
}

TEST_CASE("the resolved key has 1 to 512 bytes") {
  CHECK(resolve_key(std::string(512, 'k'), {}, {}).size() == 512);
  CHECK(resolve_key("{a}{a}", {{"a", std::string(256, 'k')}}, {}).size() == 512);
  CHECK_THROWS_AS(resolve_key(std::string(513, 'k'), {}, {}), UsageError);
  CHECK_THROWS_AS(resolve_key("", {}, {}), UsageError);
  CHECK_THROWS_AS(resolve_key("{a}", {{"a", ""}}, {}), UsageError);
}

#include "util/secret.h"

#include <doctest/doctest.h>

using namespace cachify::util;

TEST_CASE("passwords in URLs are taken out of a text, and nothing else") {
  const auto check = [](std::string text, const std::string& expected) {
    CAPTURE(text);
    CHECK(without_passwords(text) == expected);
    CHECK(has_password(text) == (text != expected));
    const std::string before = text;
    blot_out_passwords(text);
    CHECK(text.size() == before.size());
    CHECK((text == before) == (before == expected));
    CHECK(text.find("geheim") == std::string::npos);
  };
  check("", "");
  check("echo a:b@c", "echo a:b@c");
  check("redis://host:6379/0", "redis://host:6379/0");
  check("redis://:geheim@host", "redis://:***@host");
  check("--store=rediss://joe:geheim@host/1", "--store=rediss://joe:***@host/1");
  check("redis://geheim@host", "redis://***@host");
  check("redis://:ge/heim@x@geheim@host", "redis://:***@host");
  check("py-cachify+redis://:geheim@a b redis+sentinel://u:geheim@c:1,d:2/m",
        "py-cachify+redis://:***@a b redis+sentinel://u:***@c:1,d:2/m");
  check("sh -c curl 'https://joe:geheim@host/a?b=c:d@e'",
        "sh -c curl 'https://joe:***@host/a?b=c:d@e'");
  check("https://joe@host/", "https://joe@host/");
  check("https://host:80/a:b@c", "https://host:80/a:b@c");
  check("redis://@host", "redis://@host");
  check("://", "://");
  check("redis://:geheim@", "redis://:***@");
}

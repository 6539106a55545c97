#include "store/file/directory.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using cachify::store::Kind;
using cachify::store::file::file_name;

TEST_CASE("keys that look alike have files of their own") {
  std::set<std::string> names;
  size_t keys = 0;
  const auto add = [&](const std::string& key) {
    for (const Kind kind : {Kind::pool, Kind::lock}) {
      const auto name = file_name(kind, key).name;
      CAPTURE(key);
      CHECK(names.insert(name).second);
      CHECK(name.size() <= 200 + 40);
      CHECK(name.find('/') == std::string::npos);
      CHECK(name.find('\0') == std::string::npos);
      ++keys;
    }
  };
  for (const char* key : {"job", "jobs", "Job", "a/b",      "a_b",      "a%2Fb", "a%252Fb", "a b",
                          "a.b", ".",    "..",  "-",        "~1",       "job~1", "job~h",   "%",
                          "%%",  "/",    "//",  "pool.job", "lock.job", "j%6Fb"}) {
    add(key);
  }
  for (int byte = 1; byte < 256; ++byte) add("x" + std::string(1, static_cast<char>(byte)));
  for (size_t length = 3; length <= 512; ++length) {
    add(std::string(length, 'k'));
    add(std::string(length, '%'));
    add(std::string(length - 1, '/') + "x");
    add("x" + std::string(length - 1, '\xff'));
  }
  std::string percents;
  while (percents.size() + 3 <= 512) percents += "%2F";
  add(percents);
  CHECK(names.size() == keys);
}

TEST_CASE("a key stands for itself as far as a file name can") {
  CHECK(file_name(Kind::pool, "cachify:jobs").name == "pool.cachify%3Ajobs");
  CHECK(file_name(Kind::lock, "a/b~1").name == "lock.a%2Fb%7E1");
  CHECK_FALSE(file_name(Kind::lock, "a/b~1").hashed);
}

TEST_CASE("a long key's name ends in a hash, which no short key's name can") {
  const auto name = file_name(Kind::pool, std::string(300, 'k'));
  CHECK(name.hashed);
  CHECK(name.name.find("~h") != std::string::npos);
  CHECK(name.name.size() <= 200);
  // 199 bytes still fit, and a cut never splits a %XX.
  CHECK_FALSE(file_name(Kind::pool, std::string(195, 'k')).hashed);
  const auto cut = file_name(Kind::pool, std::string(300, '/')).name;
  CHECK((cut.find("~h") - std::string("pool.").size()) % 3 == 0);
}

#include "resource/definition.h"

#include <doctest/doctest.h>

#include "errors.h"
#include "resource/workshop.h"

using namespace cachify;
using namespace cachify::resource;
using namespace std::chrono_literals;

TEST_CASE("names are different, and each can stand in a line") {
  CHECK(*parse_names("a") == std::vector<std::string>{"a"});
  CHECK(*parse_names("a,b c,d") == std::vector<std::string>{"a", "b c", "d"});
  for (const char* list : {"", ",", "a,", ",a", "a,,b", "a,b,a", "a\nb", " "}) {
    CAPTURE(list);
    CHECK_FALSE(parse_names(list));
  }
}

TEST_CASE("parts have to go together") {
  DefinitionParts parts;
  CHECK_FALSE(complete(parts));
  SUBCASE("names are all there is") {
    parts.names = {"a"};
    parts.check = "true";
    CHECK(complete(parts)->fixed());
    parts.max = 2;
    CHECK_THROWS_AS(complete(parts), UsageError);
  }
  SUBCASE("--max is --min, and at least one, where it is not given") {
    parts.create = "mk";
    CHECK(complete(parts)->max == 1);
    parts.min = 3;
    CHECK(complete(parts)->max == 3);
    parts.max = 2;
    CHECK_THROWS_AS(complete(parts), UsageError);
  }
  SUBCASE("nothing stands without a source") {
    parts.check = "true";
    CHECK_THROWS_AS(complete(parts), UsageError);
  }
}

TEST_CASE("the command line counts before the file, and a source of its own before the file's") {
  DefinitionParts file;
  file.create = "mk";
  file.max = 4;
  file.max_life = 1h;
  file.check = "ok";
  DefinitionParts line;
  CHECK(merged(line, file).create == "mk");
  line.max = 2;
  CHECK(merged(line, file).max == 2);
  CHECK(merged(line, file).check == "ok");
  line = {};
  line.names = {"a"};
  const auto both = complete(merged(line, file));
  REQUIRE(both);
  CHECK(both->fixed());
  CHECK(both->check == "ok");
}

TEST_CASE("a difference is named, with both sides of it") {
  Definition mine;
  mine.create = "mk";
  mine.max = 4;
  Definition theirs = mine;
  CHECK(difference(mine, theirs).empty());
  theirs.max = 2;
  CHECK(difference(mine, theirs) == "--max '4' here, --max '2' there");
  theirs = mine;
  theirs.check = "ok";
  CHECK(difference(mine, theirs) == "no --check here, --check 'ok' there");
  theirs = {};
  theirs.names = {"a", "b"};
  CHECK(difference(mine, theirs) == "no --from here, --from 'a,b' there");
  CHECK(difference(theirs, mine) == "no --create here, --create 'mk' there");
}

TEST_CASE("what a create has printed") {
  using Result = Made::Result;
  const auto made = [](const std::string& text) { return made_of(text); };
  const std::string good = std::string(1, '\0') + "0\n";
  const std::string bad = std::string(1, '\0') + "3\n";
  CHECK(made("db\n" + good).result == Result::made);
  CHECK(made("db\n" + good).handle == "db");
  CHECK(made("db" + good).handle == "db");  // a line without its end, from one that succeeded
  CHECK(made(" d b \n" + good).handle == " d b ");
  CHECK(made("db\n" + bad).result == Result::failed);
  CHECK(made("db\n" + bad).handle == "db");
  CHECK(made("db" + bad).handle.empty());
  CHECK(made("db\n").result == Result::made);  // killed: the line is complete
  CHECK(made("db").result == Result::nothing);
  CHECK(made("").result == Result::nothing);
  CHECK(made(good).result == Result::nothing);
  CHECK(made("\n" + good).result == Result::nothing);
  CHECK(made("a\nb\n" + good).result == Result::nothing);
  CHECK(made(std::string("a\0b\n", 4) + good).result == Result::nothing);
  CHECK(made(std::string(kLongestHandle + 1, 'x') + "\n" + good).result == Result::nothing);
}

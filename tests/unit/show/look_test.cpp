#include "show/look.h"

#include <doctest/doctest.h>

using namespace cachify::show;

namespace {

std::string at_width(size_t width, const Line& line) {
  return rendered(line, {width, false});
}

}  // namespace

TEST_CASE("what a terminal would act upon is shown escaped") {
  CHECK(safe("a\x1b[2Jb\n\t\r") == "a\\x1b[2Jb\\n\\t\\r");
  CHECK(safe("\x7f\xc2\x85") == "\\x7f\\xc2\\x85");
  CHECK(safe("\xff\xfe"
             "ü") ==
        "\\xff\\xfe"
        "ü");
  CHECK(safe("cut off \xe6\xbc") == "cut off \\xe6\\xbc");
  CHECK(safe(std::string_view("a\0b", 3)) == "a\\x00b");
}

TEST_CASE("marks that turn the direction of writing are shown escaped") {
  CHECK(safe("rm \u202egpj.exe") == "rm \\xe2\\x80\\xaegpj.exe");
  CHECK(safe("a\u2066b") ==
        "a\\xe2\\x81\\xa6"
        "b");
}

TEST_CASE("columns are counted, not bytes") {
  CHECK(columns_of("abc") == 3);
  CHECK(columns_of("ünï") == 3);
  CHECK(columns_of("漢字") == 4);
  CHECK(columns_of("e\u0301") == 1);
  CHECK(columns_of("😀!") == 3);
}

TEST_CASE("a line that fits is left alone") {
  CHECK(at_width(5, {{"ab"}, {"cde"}}) == "abcde");
  CHECK(at_width(5, {{"abcde"}, {""}}) == "abcde");
  CHECK(rendered({{std::string(500, 'x')}}, {}) == std::string(500, 'x'));
}

TEST_CASE("a line that is too wide is cut and says so, whatever pieces it has") {
  CHECK(at_width(6, {{"abcdefgh"}}) == "abc...");
  CHECK(at_width(6, {{"ab"}, {"cdefgh"}}) == "abc...");
  CHECK(at_width(6, {{"abc"}, {"defgh"}}) == "abc...");
  CHECK(at_width(6, {{"abcdef"}, {"g"}}) == "abc...");
  CHECK(at_width(2, {{"abcdefgh"}}) == "..");
  CHECK(at_width(0, {{"abcdefgh"}}).empty());
}

TEST_CASE("a cut never splits a character, and never makes a line wider than the place") {
  CHECK(at_width(6, {{"漢字漢字"}}) == "漢...");
  CHECK(at_width(7, {{"漢字漢字"}}) == "漢字...");
  CHECK(at_width(6, {{"a\nb\ncdef"}}) == "a\\n...");
  for (size_t width = 0; width < 30; ++width)
    CHECK(columns_of(at_width(width, {{"ünï"}, {"漢字\x1b[2J"}, {"e\u0301e\u0301😀"}})) <= width);
}

TEST_CASE("colour stands around pieces only, and only where it is wanted") {
  const Line line{{"a"}, {"b", Paint::strong}, {"c"}};
  CHECK(rendered(line, {std::nullopt, true}) == "a\x1b[1mb\x1b[0mc");
  CHECK(rendered(line, {std::nullopt, false}) == "abc");
  CHECK(rendered({{"abcdef", Paint::bad}, {"more"}}, {5, true}) == "\x1b[31mab...\x1b[0m");
}

TEST_CASE("what has to be read to its end is wrapped instead of cut") {
  using Lines = std::vector<std::string>;
  CHECK(wrapped({"abcdefg"}, {3, false}) == Lines{"abc", "def", "g"});
  CHECK(wrapped({"漢字x"}, {3, false}) == Lines{"漢", "字x"});
  CHECK(wrapped({"abcdefg"}, {}) == Lines{"abcdefg"});
  CHECK(wrapped({"ab\n"}, {3, false}) == Lines{"ab\\", "n"});
  CHECK(wrapped({""}, {3, false}) == Lines{""});
  CHECK(wrapped({"漢"}, {1, false}) == Lines{"."});
}

#include "util/text.h"

#include <doctest/doctest.h>

using namespace cachify::util;

TEST_CASE("cutting a text does not split a character") {
  CHECK(cut("abc", 3) == "abc");
  CHECK(cut("abcd", 3) == "abc");
  CHECK(cut("ab\xc3\xa9", 4) == "ab\xc3\xa9");
  CHECK(cut("ab\xc3\xa9", 3) == "ab");
  CHECK(cut("\xf0\x9f\x98\x80x", 3) == "");
  CHECK(cut("\xf0\x9f\x98\x80x", 4) == "\xf0\x9f\x98\x80");
  CHECK(cut("\xe2\x82\xac\xe2\x82\xac", 5) == "\xe2\x82\xac");
}

TEST_CASE("what is no UTF-8 is cut by bytes") {
  CHECK(cut("\xff\xff\xff\xff", 2) == "\xff\xff");
  CHECK(cut("\x80\x80\x80\x80\x80", 3) == "\x80\x80\x80");
}

TEST_CASE("only shortest forms within Unicode are UTF-8") {
  CHECK(utf8_length("a") == 1);
  CHECK(utf8_length("\xc2\x80") == 2);
  CHECK(utf8_length("\xe2\x82\xac") == 3);
  CHECK(utf8_length("\xf4\x8f\xbf\xbf") == 4);
  for (const char* text :
       {"", "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82"}) {
    CAPTURE(text);
    CHECK(utf8_length(text) == 0);
  }
}

TEST_CASE("a quoted text is short enough for a message") {
  CHECK(quoted("jobs") == "'jobs'");
  CHECK(quoted("") == "''");
  CHECK(quoted(std::string(1000, 'x')) == "'" + std::string(60, 'x') + "...'");
}

TEST_CASE("the distance of two words counts edits, a swap being one") {
  CHECK(edit_distance("max", "max") == 0);
  CHECK(edit_distance("", "max") == 3);
  CHECK(edit_distance("mxa", "max") == 1);
  CHECK(edit_distance("maxx", "max") == 1);
  CHECK(edit_distance("tiimeout", "timeout") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("control characters are told from others") {
  for (const std::string_view control : {"\n", "\x1b", "\x7f", "\x80", "\x9f", "\xc2\x85"})
    CHECK(is_control(control));
  for (const std::string_view shown : {" ", "a", "\xa0", "\xff", "\xc2\xa0", "\xc3\xbc"})
    CHECK_FALSE(is_control(shown));
}

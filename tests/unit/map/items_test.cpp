#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "map/format.h"
#include "map/reader.h"
#include "map/template.h"
#include "util/unique_fd.h"

using namespace cachify;
using map::Format;
using map::Reader;
using map::Row;
using map::Template;
using Words = std::vector<std::string>;

namespace {

// Everything that a reader makes of what is written to it in `pieces`, each read on its own.
Words read_all(const Words& pieces, char delimiter, size_t longest) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const util::UniqueFd from(ends[0]);
  util::UniqueFd to(ends[1]);
  Reader reader(from.get(), delimiter, longest);
  Words records;
  const auto drain = [&] {
    while (const auto record = reader.next())
      records.push_back(record->too_long ? "(too long)" : record->text);
  };
  for (const std::string& piece : pieces) {
    REQUIRE(::write(to.get(), piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()));
    REQUIRE(reader.fill());
    drain();
  }
  CHECK_FALSE(reader.done());
  to.reset();
  while (!reader.at_end()) {
    REQUIRE(reader.fill());
    drain();
  }
  CHECK(reader.done());
  return records;
}

Words filled(const Words& command, const Format& format, const Words& names,
             const std::string& item) {
  return Template(command, format, names).fill(item, 7, 3, map::read_row(format, names, item));
}

}  // namespace

TEST_CASE("records are cut at the delimiter, wherever the reads end") {
  CHECK(read_all({"a\nb", "c\n", "\nd"}, '\n', 100) == Words{"a", "bc", "", "d"});
  CHECK(read_all({"a\n"}, '\n', 100) == Words{"a"});
  CHECK(read_all({}, '\n', 100).empty());
  CHECK(read_all({std::string("a\nb\0\0", 5)}, '\0', 100) == Words{"a\nb", ""});
}

TEST_CASE("a record that is too long is dropped, and the next one is not") {
  CHECK(read_all({"abcd\nabc\n"}, '\n', 3) == Words{"(too long)", "abc"});
  CHECK(read_all({"abcd", "efgh", "i\nx\n"}, '\n', 3) == Words{"(too long)", "x"});
  CHECK(read_all({"abcd", "efgh"}, '\n', 3) == Words{"(too long)"});
}

TEST_CASE("a JSON row keeps what was written") {
  const Row object =
      map::read_json_row(R"( {"a": 1.50, "b":"x\ny,:]", "c":[1, {"d":2}],"a":null} )");
  CHECK(*object.field("b") == "x\ny,:]");
  CHECK(*object.field("c") == R"([1, {"d":2}])");
  CHECK(object.field("a")->empty());
  CHECK(object.field("d") == nullptr);
  CHECK(map::read_json_row(R"([12345678901234567890123, true, "ü\\\""])").columns ==
        Words{"12345678901234567890123", "true", "ü\\\""});
  CHECK(map::read_json_row("[]").columns.empty());
  CHECK(map::read_json_row("{}").fields.empty());
  const Row both = map::read_json_row(R"([["p"],{"k":1}])");
  CHECK(both.columns == Words{"p"});
  CHECK(*both.field("k") == "1");
  // Only that very form is both.
  CHECK(map::read_json_row(R"([["p"],{"k":1},2])").columns == Words{R"(["p"])", R"({"k":1})", "2"});
  for (const char* bad : {"", " ", "{", "[1,]", "7", "\"x\"", "null", "[1] 2"}) {
    CHECK_THROWS_AS(map::read_json_row(bad), map::Unreadable);
  }
}

TEST_CASE("rows that no argument can hold are refused") {
  CHECK_THROWS_AS(map::read_row({}, {}, std::string("a\0b", 3)), map::Unreadable);
  Format json;
  json.json_lines = true;
  CHECK_THROWS_AS(map::read_row(json, {}, R"(["a\u0000b"])"), map::Unreadable);
}

TEST_CASE("a template knows only the placeholders that its input has") {
  const Format plain;
  CHECK(filled({"c", "{}", "{#}", "{%}"}, plain, {}, "i") == Words{"c", "i", "7", "3"});
  CHECK(filled({"c", "{1}", "{a}"}, plain, {}, "i") == Words{"c", "{1}", "{a}", "i"});
  CHECK(filled({"c"}, plain, {}, "{}") == Words{"c", "{}"});
  CHECK(filled({"c", "{{}}", "{ {} }", "}{"}, plain, {}, "i") == Words{"c", "{i}", "{ i }", "}{"});
  Format columns;
  columns.separator = "::";
  CHECK(filled({"c", "{2}{1}{3}", "{0}", "{01}"}, columns, {}, "a::b") ==
        Words{"c", "ba", "{0}", "{01}"});
  CHECK(filled({"c", "{a b}", "{x}", "{1}"}, columns, {"a b"}, "v") == Words{"c", "v", "{x}", "v"});
  Format json;
  json.json_lines = true;
  CHECK(filled({"c", "{a-1}", "{print $1}"}, json, {}, R"({"a-1":"v"})") ==
        Words{"c", "v", "{print $1}"});
}

TEST_CASE("the program itself may depend on the item") {
  CHECK(Template({"{}", "x"}, {}, {}).program_varies());
  CHECK_FALSE(Template({"x", "{}"}, {}, {}).program_varies());
  CHECK_FALSE(Template({"x"}, {}, {}).program_varies());
}

TEST_CASE("a command is shown on one line, as a shell would need it") {
  CHECK(map::shell_quoted(Words{"echo", "a b", "", "it's", "x\ty\n'\\", "ü"}) ==
        R"(echo 'a b' '' 'it'\''s' $'x\ty\n\'\\' 'ü')");
}

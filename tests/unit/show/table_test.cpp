#include "show/table.h"

#include <doctest/doctest.h>

using namespace cachify::show;
using Align = Table::Column::Align;

namespace {

std::string text_of(const Table& table, const Look& look = {}) {
  return joined(table.lines(look));
}

}  // namespace

TEST_CASE("columns are as wide as their widest cell, titles included") {
  Table table({{"N", Align::right}, {"NAME"}, {"REST"}});
  table.add_row({{"1"}, {"a"}, {"x"}});
  table.add_row({{"100"}, {"漢字漢"}, {"y"}});
  CHECK(text_of(table) ==
        "  N  NAME    REST\n"
        "  1  a       x\n"
        "100  漢字漢  y\n");
}

TEST_CASE("an optional column is shown only where something is in it") {
  Table without({{"A"}, {"NOTE", Align::left, true}, {"C"}});
  without.add_row({{"1"}, {""}, {"x"}});
  CHECK(text_of(without) == "A  C\n1  x\n");

  Table with({{"A"}, {"NOTE", Align::left, true}, {"C"}});
  with.add_row({{"1"}, {""}, {"x"}});
  with.add_row({{"2"}, {"odd"}, {"y"}});
  CHECK(text_of(with) ==
        "A  NOTE  C\n"
        "1        x\n"
        "2  odd   y\n");
}

TEST_CASE("an empty cell shows a dash, and no line ends in blanks") {
  Table table({{"A"}, {"B"}, {"NOTE", Align::left, true}});
  table.add_row({{"1"}, {""}, {""}});
  table.add_row({{"2"}, {"b"}, {"n"}});
  CHECK(text_of(table) ==
        "A  B  NOTE\n"
        "1  -\n"
        "2  b  n\n");
}

TEST_CASE("every line is cut to the place") {
  Table table({{"PID", Align::right}, {"COMMAND"}});
  table.add_row({{"12"}, {"./job.sh --with many words"}});
  CHECK(text_of(table, {15, false}) ==
        "PID  COMMAND\n"
        " 12  ./job.s...\n");
}

TEST_CASE("a cell that spans lines stays in its line") {
  Table table({{"COMMAND"}, {"X"}});
  table.add_row({{"a\nb"}, {"x"}});
  CHECK(text_of(table) == "COMMAND  X\na\\nb     x\n");
}

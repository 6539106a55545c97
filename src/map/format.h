#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cachify::map {

// Why an item cannot be read as the options say. The text follows "item 7 ".
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What an item has for the placeholders of COMMAND.
struct Row {
  std::vector<std::string> columns;                         // {1}, {2}...
  std::vector<std::pair<std::string, std::string>> fields;  // {name}

  const std::string* field(std::string_view name) const;
};

// How items are to be read: --colsep, --header, --jsonl.
struct Format {
  std::optional<std::string> separator;  // not empty
  bool header = false;                   // the first row names the columns
  bool json_lines = false;
  char delimiter = '\n';

  bool has_columns() const { return separator || header || json_lines; }
};

// Throws Unreadable. `names`: of the columns, empty without a header.
Row read_row(const Format& format, const std::vector<std::string>& names, const std::string& text);

// The names in a header row. Throws Unreadable.
std::vector<std::string> read_header(const Format& format, const std::string& text);

// The row that one line of JSON holds: an array gives columns, an object fields, an array of an
// array and an object both. A text stands for itself, null for nothing, and everything else for
// how it was written, so that no digit of a number is lost. Throws Unreadable.
Row read_json_row(const std::string& text);

}  // namespace cachify::map

#include "map/format.h"

#include <algorithm>

namespace cachify::map {

namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> columns;
  size_t begin = 0;
  for (;;) {
    const size_t end = text.find(separator, begin);
    columns.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return columns;
    begin = end + separator.size();
  }
}

// Execution ends an argument at the first NUL.
void refuse_nul(const std::string& text) {
  if (text.find('\0') != std::string::npos) throw Unreadable("holds a NUL byte");
}

}  // namespace

const std::string* Row::field(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [name](const auto& entry) { return entry.first == name; });
  return found == fields.end() ? nullptr : &found->second;
}

Row read_row(const Format& format, const std::vector<std::string>& names, const std::string& text) {
  refuse_nul(text);
  Row row;
  if (format.json_lines) {
    row = read_json_row(text);
    for (const std::string& column : row.columns) refuse_nul(column);
    for (const auto& entry : row.fields) refuse_nul(entry.second);
  } else if (format.separator) {
    row.columns = split(text, *format.separator);
  } else if (format.header) {
    row.columns = {text};
  }
  for (size_t i = 0; i < names.size() && i < row.columns.size(); ++i) {
    if (row.field(names[i]) == nullptr) row.fields.emplace_back(names[i], row.columns[i]);
  }
  return row;
}

std::vector<std::string> read_header(const Format& format, const std::string& text) {
  Row row = read_row(format, {}, text);
  if (!row.fields.empty()) throw Unreadable("is not an array of names");
  return std::move(row.columns);
}

}  // namespace cachify::map

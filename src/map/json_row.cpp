// The only file of this folder that knows of JSON.
#include <cstddef>
#include <nlohmann/json.hpp>

#include "map/format.h"

namespace cachify::map {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// What stands between the brackets of a valid array or object, cut at the commas of that level; of
// an object, names and values take turns.
std::vector<std::string_view> elements(std::string_view text) {
  text = trimmed(text.substr(1, text.size() - 2));
  std::vector<std::string_view> list;
  if (text.empty()) return list;
  size_t begin = 0;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (depth == 0 && (c == ',' || c == ':')) {
      list.push_back(trimmed(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  list.push_back(trimmed(text.substr(begin)));
  return list;
}

std::string value_of(std::string_view text) {
  if (text == "null") return {};
  if (text.front() == '"') return Json::parse(text).get<std::string>();
  return std::string(text);
}

void add_columns(Row& row, std::string_view array) {
  for (const std::string_view element : elements(array)) row.columns.push_back(value_of(element));
}

// Of a name that is given twice the last one counts, as everywhere with JSON.
void add_fields(Row& row, std::string_view object) {
  const std::vector<std::string_view> parts = elements(object);
  for (size_t i = parts.size(); i >= 2; i -= 2) {
    const std::string name = value_of(parts[i - 2]);
    if (row.field(name) == nullptr) row.fields.emplace_back(name, value_of(parts[i - 1]));
  }
}

}  // namespace

Row read_json_row(const std::string& text) {
  if (!Json::accept(text)) throw Unreadable("is not valid JSON");
  const std::string_view value = trimmed(text);
  Row row;
  if (value.front() == '{') {
    add_fields(row, value);
  } else if (value.front() == '[') {
    const std::vector<std::string_view> parts = elements(value);
    if (parts.size() == 2 && parts[0].front() == '[' && parts[1].front() == '{') {
      add_columns(row, parts[0]);
      add_fields(row, parts[1]);
    } else {
      add_columns(row, value);
    }
  } else {
    throw Unreadable("is neither a JSON object nor an array");
  }
  return row;
}

}  // namespace cachify::map

#include "show/table.h"

#include <algorithm>

namespace cachify::show {

std::vector<std::string> Table::lines(const Look& look) const {
  std::vector<Line> rows;
  rows.reserve(rows_.size() + 1);
  for (const Line& given : rows_) {
    Line& row = rows.emplace_back(given);
    for (size_t i = 0; i < columns_.size(); ++i) {
      row[i].text = row[i].text.empty() && !columns_[i].optional ? "-" : safe(row[i].text);
    }
  }

  std::vector<size_t> shown;
  std::vector<size_t> widths(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    bool has_text = false;
    widths[i] = columns_of(columns_[i].title);
    for (const Line& row : rows) {
      widths[i] = std::max(widths[i], columns_of(row[i].text));
      has_text = has_text || !row[i].text.empty();
    }
    if (has_text || !columns_[i].optional) shown.push_back(i);
  }

  Line& titles = rows.emplace_back();
  for (const Column& column : columns_) titles.push_back({std::string(column.title), Paint::faint});
  std::rotate(rows.begin(), rows.end() - 1, rows.end());

  std::vector<std::string> result;
  result.reserve(rows.size());
  for (const Line& row : rows) {
    Line line;
    size_t due = 0;  // blanks that stand before the next text, if there is one
    for (const size_t i : shown) {
      const size_t blanks = widths[i] - columns_of(row[i].text);
      const bool right = columns_[i].align == Column::Align::right;
      if (right) due += blanks;
      if (!row[i].text.empty()) {
        line.push_back({std::string(due, ' ')});
        line.push_back(row[i]);
        due = 0;
      } else {
        due += widths[i] - blanks;
      }
      due += (right ? 0 : blanks) + 2;
    }
    result.push_back(rendered(line, look));
  }
  return result;
}

}  // namespace cachify::show

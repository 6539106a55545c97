#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "show/look.h"

namespace cachify::show {

// Rows under titles, each column as wide as it has to be, two blanks between them. The last column
// is cut where the place is too narrow.
class Table {
 public:
  struct Column {
    std::string_view title;
    enum class Align : uint8_t { left, right } align = Align::left;
    // Left out when all its cells are empty; an empty cell of another column is shown as "-".
    bool optional = false;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns.
  void add_row(Line cells) { rows_.push_back(std::move(cells)); }
  bool empty() const noexcept { return rows_.empty(); }

  // Titles and rows, as rendered() makes them.
  std::vector<std::string> lines(const Look& look) const;

 private:
  std::vector<Column> columns_;
  std::vector<Line> rows_;
};

}  // namespace cachify::show

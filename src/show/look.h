#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Text for people: how wide, how coloured, and never a byte that the terminal would act upon.
namespace cachify::show {

enum class Paint { plain, strong, faint, good, doubtful, bad };

// What the place of an output can show.
struct Look {
  std::optional<size_t> width;  // lines are cut to so many columns; nullopt: never
  bool colour = false;
};

// Of standard output: a terminal's width, and colour unless NO_COLOR or TERM=dumb forbid it;
// anything else gets whole lines without colour.
Look look_of_output();

// Whether standard output is a terminal that can be drawn on.
bool can_draw();

// A piece of a line. Its text may hold anything.
struct Span {
  std::string text;
  Paint paint = Paint::plain;
};
using Line = std::vector<Span>;

// With control characters, marks that change the direction of writing, and what is no UTF-8 shown
// escaped.
std::string safe(std::string_view text);

// How many columns a safe text takes.
size_t columns_of(std::string_view text) noexcept;

// The line as it is written: made safe, painted, and cut where it is too wide, with "..." at its
// end. Without a newline.
std::string rendered(const Line& line, const Look& look);

// The same in as many lines as it takes; for what has to be read to its end.
std::vector<std::string> wrapped(const Span& span, const Look& look);

// Each line and a newline behind it.
std::string joined(const std::vector<std::string>& lines);

}  // namespace cachify::show

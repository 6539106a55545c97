#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "util/time.h"

namespace cachify::map {

// How far a map has come.
struct Counts {
  int64_t done = 0;  // ended for good, the failed ones among them
  int64_t failed = 0;
  int64_t running = 0;
  std::optional<int64_t> total;  // nullopt: unknown as long as the input goes on
  bool estimated = false;        // `total` is a guess from how much of the file was read
};

// "12 of 40 done, 1 failed, 4 running, 3.2/s, 9s left", with a bar before it where `width`
// (columns, 0: no bar) leaves room for one.
std::string progress_text(const Counts& counts, util::Duration elapsed, int width);

// Shows that on standard error: as a bar that is drawn over and over on a terminal, as a line now
// and then elsewhere. Whoever else writes to the terminal calls hide() before.
class Progress {
 public:
  enum class Wish { by_default, always };
  explicit Progress(Wish wish);

  bool shown() const { return mode_ != Mode::off; }
  // When update() wants to be called next.
  std::optional<util::MonotonicTime> next_update() const;
  void update(const Counts& counts);
  void hide();
  // The bar goes; the last word about it all stays.
  void finish(const Counts& counts);

 private:
  enum class Mode { off, bar, lines };

  Mode mode_ = Mode::off;
  bool last_word_ = false;
  bool visible_ = false;
  util::MonotonicTime started_;
  util::MonotonicTime next_;
};

}  // namespace cachify::map

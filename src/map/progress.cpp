#include "map/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "run/explain.h"
#include "util/log.h"

namespace cachify::map {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr util::Duration kRedraw = milliseconds(200);
constexpr util::Duration kFirstDraw = milliseconds(300);  // what is over sooner needs no bar
constexpr util::Duration kLine = seconds(10);
constexpr int kWidestBar = 40;

bool is_capable_terminal() {
  const char* name = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && name != nullptr && std::string_view(name) != "dumb" &&
         *name != '\0';
}

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void write_quietly(std::string_view text) {
  // Nobody to tell where even this fails.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

std::string progress_text(const Counts& counts, util::Duration elapsed, int width) {
  std::string text = std::to_string(counts.done);
  if (counts.total) {
    text += (counts.estimated ? " of about " : " of ") + std::to_string(*counts.total);
  }
  text += " done, " + std::to_string(counts.failed) + " failed, " + std::to_string(counts.running) +
          " running";
  const double time = std::chrono::duration<double>(elapsed).count();
  const double rate = time > 0 ? static_cast<double>(counts.done) / time : 0;
  char number[32];
  std::snprintf(number, sizeof number, rate < 10 ? ", %.1f/s" : ", %.0f/s", rate);
  text += number;
  if (counts.total && rate > 0 && *counts.total > counts.done) {
    const double left = static_cast<double>(*counts.total - counts.done) / rate;
    text += ", " + run::span_text(seconds(std::llround(std::min(left, 1e9)))) + " left";
  }
  const int room = std::min(kWidestBar, width - static_cast<int>(text.size()) - 4);
  if (width > 0 && counts.total && *counts.total > 0 && room >= 8) {
    const auto full = static_cast<size_t>(
        std::clamp<int64_t>(counts.done * room / std::max<int64_t>(*counts.total, 1), 0, room));
    text = "[" + std::string(full, '#') + std::string(static_cast<size_t>(room) - full, '.') +
           "] " + text;
  }
  return width > 0 ? text.substr(0, static_cast<size_t>(width - 1)) : text;
}

Progress::Progress(Wish wish) : started_(util::monotonic_now()), next_(started_ + kFirstDraw) {
  const bool quiet = util::verbosity() == util::Verbosity::quiet;
  if (is_capable_terminal() && (wish == Wish::always || !quiet)) {
    mode_ = Mode::bar;
  } else if (wish == Wish::always) {
    mode_ = Mode::lines;
    next_ = started_ + kLine;
  }
  last_word_ = wish == Wish::always;
}

std::optional<util::MonotonicTime> Progress::next_update() const {
  if (mode_ == Mode::off) return std::nullopt;
  return next_;
}

void Progress::update(const Counts& counts) {
  const util::MonotonicTime now = util::monotonic_now();
  if (mode_ == Mode::off || now < next_) return;
  if (mode_ == Mode::lines) {
    next_ = now + kLine;
    write_quietly("cachify: " + progress_text(counts, now - started_, 0) + "\n");
    return;
  }
  next_ = now + kRedraw;
  visible_ = true;
  write_quietly("\r\x1b[K" + progress_text(counts, now - started_, terminal_width()));
}

void Progress::hide() {
  if (!visible_) return;
  visible_ = false;
  write_quietly("\r\x1b[K");
}

void Progress::finish(const Counts& counts) {
  hide();
  if (mode_ == Mode::off || !last_word_) return;
  write_quietly("cachify: " + progress_text(counts, util::monotonic_now() - started_, 0) + "\n");
}

}  // namespace cachify::map

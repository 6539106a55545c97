#include "show/watch.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "errors.h"
#include "run/deadline.h"
#include "run/interrupts.h"
#include "show/changes.h"
#include "show/screen.h"
#include "show/situation_json.h"
#include "show/situation_text.h"
#include "util/output.h"
#include "util/time_text.h"

namespace cachify::show {

namespace {

// Ages are shown to the second, and what no store can announce is found as often.
constexpr util::Duration kBeat = std::chrono::seconds(1);

class View {
 public:
  virtual ~View() = default;
  virtual void begin(const store::Situation& now) = 0;
  virtual void change(const store::Situation& before, const store::Situation& now) = 0;
  // Called at every beat, after changes and for events. False: the viewer wants no more. `failure`:
  // why the store could not tell this time, where outlives_failures().
  virtual bool go_on(const store::Situation& now, const std::string& failure) = 0;
  virtual bool has_events() const noexcept { return false; }
  virtual bool outlives_failures() const noexcept { return false; }
};

// A file or a pipe.
class Stream : public View {
 public:
  bool go_on(const store::Situation& /*now*/, const std::string& /*failure*/) override {
    pollfd output{STDOUT_FILENO, 0, 0};
    if (::poll(&output, 1, 0) <= 0 || (output.revents & POLLERR) == 0) return true;
    // The reader of the pipe has gone; what a write would do now is done before there is news.
    ::raise(SIGPIPE);
    throw OsError("cannot write to standard output", EPIPE);
  }
};

class JsonStream : public Stream {
 public:
  explicit JsonStream(const Subject& subject) : subject_(subject) {}
  void begin(const store::Situation& now) override {
    util::write_output(json_line(situation_json(subject_, now, util::realtime_us())));
  }
  void change(const store::Situation& /*before*/, const store::Situation& now) override {
    begin(now);
  }

 private:
  const Subject& subject_;
};

class TextStream : public Stream {
 public:
  explicit TextStream(const Subject& subject) : subject_(subject) {}
  void begin(const store::Situation& now) override {
    util::write_output(rendered(headline(subject_, now), look_) + "\n" +
                       joined(situation_lines(now, util::realtime_us(), look_)) + "\n");
  }
  void change(const store::Situation& before, const store::Situation& now) override {
    const int64_t now_us = util::realtime_us();
    std::string text;
    for (Line& line : changes_between(subject_.kind, before, now, now_us)) {
      line.insert(line.begin(), {util::rfc3339(now_us) + " "});
      text += rendered(line, look_) + "\n";
    }
    util::write_output(text);
  }

 private:
  const Subject& subject_;
  const Look look_;  // whole lines: a terminal that cannot be drawn on wraps them
};

class ScreenView : public View {
 public:
  ScreenView(const Subject& subject, run::Interrupts& interrupts)
      : subject_(subject), screen_(interrupts), colour_(look_of_output().colour) {}

  void begin(const store::Situation& now) override { draw(now, {}); }

  void change(const store::Situation& before, const store::Situation& now) override {
    const int64_t now_us = util::realtime_us();
    for (Line& line : changes_between(subject_.kind, before, now, now_us)) {
      line.insert(line.begin(), {util::clock_text(now_us) + "  ", Paint::faint});
      news_.push_front(std::move(line));
    }
    if (news_.size() > kNews) news_.resize(kNews);
    // More frames than an eye can follow would only cost time.
    pause_ = std::chrono::milliseconds(40);
  }

  bool go_on(const store::Situation& now, const std::string& failure) override {
    if (screen_.take_events()) return false;
    draw(now, failure);
    if (!failure.empty()) pause_ = kBeat;
    if (pause_ != util::Duration::zero()) screen_.rest(std::exchange(pause_, {}));
    return true;
  }

  bool has_events() const noexcept override { return screen_.has_events(); }
  bool outlives_failures() const noexcept override { return true; }

 private:
  static constexpr size_t kNews = 6;

  void draw(const store::Situation& now, const std::string& failure) {
    const auto [rows, columns] = Screen::size();
    // The last column stays free: a terminal that waits there to wrap would lose it when the rest
    // of the line is erased.
    const Look look{columns > 1 ? columns - 1 : 1, colour_};
    const int64_t now_us = util::realtime_us();

    std::vector<std::string> below;
    if (!news_.empty()) below.emplace_back();
    for (const Line& line : news_) below.push_back(rendered(line, look));
    below.emplace_back();
    below.push_back(rendered({{util::clock_text(now_us) + "  q ends", Paint::faint}}, look));

    std::vector<std::string> frame{rendered(headline(subject_, now), look)};
    if (!failure.empty()) {
      for (std::string& line : wrapped({"trying again: " + failure, Paint::bad}, look))
        frame.push_back(std::move(line));
    }
    for (std::string& line : situation_lines(now, now_us, look)) frame.push_back(std::move(line));
    if (frame.size() + below.size() > rows && rows > below.size() + 2) {
      const size_t kept = rows - below.size() - 1;
      const size_t left_out = frame.size() - kept;
      frame.resize(kept);
      const std::string more = "... " + std::to_string(left_out) + " more lines";
      frame.push_back(rendered({{more, Paint::faint}}, look));
    }
    frame.insert(frame.end(), below.begin(), below.end());
    if (frame.size() > rows) frame.resize(rows);
    screen_.draw(frame);
  }

  const Subject& subject_;
  Screen screen_;
  const bool colour_;
  std::deque<Line> news_;  // the latest first
  util::Duration pause_{};
};

std::unique_ptr<View> view_of(const Subject& subject, bool json, run::Interrupts& interrupts) {
  if (json) return std::make_unique<JsonStream>(subject);
  // Without a kind of terminal, or with a dumb one, there is no drawing.
  if (can_draw()) return std::make_unique<ScreenView>(subject, interrupts);
  return std::make_unique<TextStream>(subject);
}

}  // namespace

run::Ending watch(store::Store& store, const Subject& subject, bool json) {
  store::Situation shown = store.situation(subject.kind, subject.key);
  run::Interrupts interrupts;
  const auto view = view_of(subject, json, interrupts);
  view->begin(shown);
  while (true) {
    if (const auto signal = interrupts.caught()) return {kExitSignalBase + *signal, *signal};
    store::Situation now = shown;
    bool changed = false;
    std::string failure;
    try {
      store.wait_until(
          subject.kind, subject.key,
          [&](const store::Situation& seen) {
            now = seen;
            changed = differs(shown, seen);
            return changed || view->has_events();
          },
          run::deadline_after(kBeat), interrupts);
    } catch (const StoreError& error) {
      if (!view->outlives_failures()) throw;
      failure = error.what();
    }
    if (interrupts.caught()) continue;
    if (changed) view->change(shown, now);
    shown = std::move(now);
    if (!view->go_on(shown, failure)) return {};
  }
}

}  // namespace cachify::show

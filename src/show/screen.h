#pragma once

#include <signal.h>
#include <termios.h>

#include <optional>
#include <string>
#include <vector>

#include "run/interrupts.h"
#include "util/unique_fd.h"

namespace cachify::show {

// The terminal behind standard output, drawn on from its first row, again and again. What stood
// there is scrolled up, not lost, and the last frame stays. A frame is one write(2) that erases
// only behind what it wrote, so nothing flickers; the cursor is hidden within it only, so no end,
// not even SIGKILL, leaves a terminal without one.
//
// Keys are read one by one and not echoed while this process is in the foreground; the destructor
// puts that back. A key, a change of the size and a ^Z end a store's wait as a poke does. At most
// one object at a time, and within the life of `interrupts`, whose waits open the signals.
class Screen {
 public:
  explicit Screen(run::Interrupts& interrupts);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  struct Size {
    size_t rows;
    size_t columns;
  };
  static Size size() noexcept;

  // As many lines as there are rows, none wider than the terminal.
  void draw(const std::vector<std::string>& lines);

  // Something is there for take_events().
  bool has_events() const noexcept;
  // Acts on ^Z by stopping, and on being continued. True: somebody typed q.
  bool take_events();
  // Until there is an event, a signal, or the time has passed.
  void rest(util::Duration time);

 private:
  bool in_foreground() const noexcept;
  void take_keys() noexcept;
  void give_keys_back() noexcept;
  void stop();

  run::Interrupts& interrupts_;
  util::UniqueFd keys_;  // an open file of our own, so that its flags are nobody else's
  std::optional<termios> given_;
  struct sigaction given_size_;
  struct sigaction given_stop_;
  bool fresh_ = true;
};

}  // namespace cachify::show

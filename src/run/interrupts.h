#pragma once

#include <signal.h>

#include <optional>

#include "util/time.h"

namespace cachify::run {

// The signals that end waiting: TERM, INT, HUP and QUIT, as far as cachify was not started with
// them ignored or blocked. From construction on they are blocked; a store unblocks them only
// inside its waits. The destructor restores mask, handlers and the interval timer as they were.
//
// Two ways to wait, both without a race between a signal and the call:
//  - poll-like calls that take a mask: ppoll(..., &wait_mask()), then look at caught();
//  - calls that take none (fcntl F_OFD_SETLKW, flock, futex): a Window around the call. Inside it
//    the signals are open and caught by a handler, which from then on lets the interval timer fire
//    every few ms, so that a call entered just after the signal ends with EINTR all the same.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // The signal that asked us to stop, if any; also one that is still pending and blocked.
  std::optional<int> caught() const noexcept;
  // The mask to wait with: what cachify was given, and SIGALRM open.
  const sigset_t& wait_mask() const noexcept { return wait_mask_; }

  // While it lives, the blocking call it surrounds ends with EINTR at the latest at `until`
  // (repeated every few ms after it) and on any of the signals. Not to be nested.
  class Window {
   public:
    Window(Interrupts& interrupts, std::optional<util::MonotonicTime> until) noexcept;
    ~Window();
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

   private:
    sigset_t before_;
  };

 private:
  sigset_t wait_mask_;
  sigset_t saved_mask_;
  struct sigaction saved_alarm_;
  struct sigaction saved_stop_[4];
};

}  // namespace cachify::run

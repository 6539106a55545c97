#pragma once

#include <signal.h>

#include <array>
#include <initializer_list>
#include <optional>
#include <vector>

#include "util/time.h"

namespace cachify::run {

// Somebody changed the state of a slot that this process holds or waits for: look at it again. Of
// all signals the one that does nothing to a process which does not expect it. Blocked like the
// others; it ends a wait as the timer does, and is never passed on.
inline constexpr int kPokeSignal = SIGURG;

// All that cachify changes about signals, from construction until the destructor puts it back.
//
// The signals that end waiting: TERM, INT, HUP and QUIT, as far as cachify was not started with
// them ignored or blocked. They, and all that COMMAND is to get or that tells about it, are blocked
// from construction on; a store opens them only inside its waits. SIGCHLD is set to its default,
// or COMMAND's code would be lost. At most one object at a time, in a process with one thread.
//
// Two ways to wait, both without a race between a signal and the call:
//  - poll-like calls that take a mask: ppoll(..., &wait_mask()), then look at caught();
//  - calls that take none (fcntl F_OFD_SETLKW, flock, futex): a Window around the call. Inside it
//    the signals are open and caught by a handler, which from then on lets a timer fire every few
//    ms, so that a call entered just after the signal ends with EINTR all the same.
// The timer is one of POSIX and has a real-time signal of its own, so that an alarm(2) which
// cachify was started with stays what it was.
//
// Handlers and the timer are made by the first wait: who does not wait pays for one
// rt_sigprocmask and one rt_sigaction.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // The one object there is, if any, for who was not given it.
  static Interrupts* current() noexcept;

  // The signal that asked us to stop, if any; also one that is still pending and blocked.
  std::optional<int> caught() const noexcept;

  // The mask to wait with: what cachify was given, with the timer's signal and the poke open.
  // Installs the handlers; throws OsError when the system refuses.
  const sigset_t& wait_mask();

  // COMMAND has run and was reaped: a signal that comes from now on is too late, and COMMAND's code
  // stands. Waits (for a mutex, in a release) open none any more, and the destructor drops them
  // instead of letting them end cachify.
  void command_ended() noexcept;

  // While it lives, waits open no signal, not even the poke: COMMAND runs, and who looks after it
  // is to find all of them. For what is done beside COMMAND and may wait for a mutex.
  class Hold {
   public:
    explicit Hold(Interrupts& interrupts) noexcept : interrupts_(interrupts) {
      interrupts_.hold(true);
    }
    ~Hold() { interrupts_.hold(false); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Interrupts& interrupts_;
  };
  // For who has children and more to look after, also while it waits (pool map). Called before the
  // first wait.
  //
  // Each of these signals ends a wait as the poke does, and is noted; blocked otherwise. One that
  // was given ignored stays so, SIGCHLD excepted.
  void also_wake_on(std::initializer_list<int> signals);
  // A write that nobody reads any more fails with EPIPE, and no more. Called before the first wait.
  void keep_out_sigpipe() noexcept;
  // Whether `signal` (one of those, or the poke) has ended a wait since the last call.
  static bool take(int signal) noexcept;
  // Whether take() has anything to take, of any of them. Waits do not end for what came before.
  static bool any_to_take() noexcept;
  // Stops this process as `signal` (TSTP, of also_wake_on) would have; returns when continued.
  static void stop_self(int signal) noexcept;
  // How many signals that end waiting were caught in waits.
  static int stops() noexcept;

  // For the child between vfork and exec: mask and dispositions exactly as cachify got them.
  // Changes nothing in memory; async-signal-safe.
  void restore_in_child() const noexcept;

  // While it lives, the blocking call it surrounds ends with EINTR at the latest at `until`
  // (repeated every few ms after it) and on any of the signals; it may also end so for nothing.
  // Not to be nested. Throws OsError when the system refuses handlers or timer.
  class Window {
   public:
    Window(Interrupts& interrupts, std::optional<util::MonotonicTime> until);
    ~Window();
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    // A signal has come in already: the call would only find out some ms later.
    static bool woken() noexcept;

   private:
    Interrupts& interrupts_;
    bool timed_;
  };

 private:
  static constexpr std::array kStops{SIGTERM, SIGINT, SIGHUP, SIGQUIT};

  bool interrupts_us(int signal) const noexcept;
  void hold(bool on) noexcept;
  void take_over_given_mask() noexcept;
  void block(int signal) noexcept;
  void install();
  void make_wait_mask() noexcept;
  void restore_dispositions() const noexcept;

  sigset_t given_mask_;
  sigset_t added_;  // what we block and were not given blocked
  bool sigpipe_kept_out_ = false;
  sigset_t wait_mask_;  // this and the next one: valid once installed_
  sigset_t closed_;     // what is blocked again after a wait: added_ and, if given so, the timer's
  struct sigaction given_child_ = {};
  bool installed_ = false;
  bool command_ended_ = false;
  bool held_ = false;
  std::array<bool, kStops.size()> handled_{};
  struct Extra {
    int signal;
    struct sigaction given;
  };
  std::vector<Extra> extras_;  // also_wake_on
  struct sigaction given_tick_ = {};
  struct sigaction given_poke_ = {};
};

}  // namespace cachify::run

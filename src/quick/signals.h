#pragma once

#include <asm/signal.h>
#include <asm/unistd_64.h>

#include "quick/handover.h"
#include "quick/kernel.h"

namespace cachify::quick {

constexpr uint64_t bit(int signal) {
  return 1ULL << static_cast<unsigned>(signal - 1);
}

// The same as in run/interrupts.cpp.
inline constexpr uint64_t kStops = bit(SIGTERM) | bit(SIGINT) | bit(SIGHUP) | bit(SIGQUIT);
inline constexpr uint64_t kBlocked = kStops | bit(SIGUSR1) | bit(SIGUSR2) | bit(SIGCONT) |
                                     bit(SIGWINCH) | bit(SIGCHLD) | bit(SIGTSTP) | bit(SIGTTIN) |
                                     bit(SIGTTOU) | bit(SIGURG);

// What run::Interrupts would block.
inline void block_signals() {
  kernel(__NR_rt_sigprocmask, SIG_BLOCK, address(&kBlocked), address(&handover.given_mask),
         sizeof kBlocked);
  handover.signals_blocked = true;
}
inline void unblock_signals() {
  kernel(__NR_rt_sigprocmask, SIG_SETMASK, address(&handover.given_mask), 0, sizeof kBlocked);
  handover.signals_blocked = false;
}

// The kernel's own form of struct sigaction.
struct Action {
  unsigned long handler;
  unsigned long flags;
  unsigned long restorer;
  uint64_t mask;
};
inline constexpr unsigned long kDefault = 0;
inline constexpr unsigned long kIgnore = 1;

inline void set_action(int signal, const Action* action, Action* given) {
  kernel(__NR_rt_sigaction, signal, address(action), address(given), sizeof action->mask);
}

// To be called once a slot or a place is ours: commands have to be waited for. As Interrupts does,
// which takes this over with the mask; it is put back for the command.
inline void default_child_signal() {
  const Action by_default{kDefault, 0, 0, 0};
  Action given;
  set_action(SIGCHLD, &by_default, &given);
  handover.child_was_ignored = given.handler == kIgnore;
}

// Those of kBlocked that came and were not given blocked.
inline uint64_t pending_signals(uint64_t given_mask) {
  uint64_t pending = 0;
  kernel(__NR_rt_sigpending, address(&pending), sizeof pending);
  return pending & kBlocked & ~given_mask;
}

}  // namespace cachify::quick

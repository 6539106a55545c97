#include "run/job_control.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cachify::run {
namespace {

bool wants_terminal(int signal) {
  return signal == SIGTTIN || signal == SIGTTOU;
}

bool is_pending(int signal) noexcept {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, signal) == 1;
}

bool was_continued(pid_t pid) noexcept {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WCONTINUED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

// Stops this process (or its whole group) by `signal` until it is continued. False when it did not
// stop. All the signals involved are blocked before and after.
bool stop_ourselves(int signal, bool whole_group, pid_t command) noexcept {
  // A CONT that came meanwhile: making a stop signal would drop it, and then nobody wakes us.
  if (is_pending(SIGCONT)) return false;
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  struct sigaction given {};
  sigaction(signal, &by_default, &given);
  kill(whole_group ? 0 : getpid(), signal);

  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  bool stopped = false;
  // From here on a CONT drops the signal we made. One that came to the group just before it has
  // reached COMMAND.
  if (was_continued(command)) {
    const timespec at_once{};
    sigtimedwait(&set, nullptr, &at_once);
  } else {
    sigprocmask(SIG_UNBLOCK, &set, nullptr);  // here we stand still
    sigprocmask(SIG_BLOCK, &set, nullptr);
    stopped = is_pending(SIGCONT);  // blocked as it is, it tells that we were continued
  }
  sigaction(signal, &given, nullptr);
  return stopped;
}

}  // namespace

int JobControl::terminal_for_command() noexcept {
  if (!own_group_ || terminal_.foreground() != getpgrp()) return -1;
  return terminal_.fd();
}

void JobControl::failed_to_start() noexcept {
  if (terminal_.fd() >= 0) terminal_.set_foreground(getpgrp());
}

bool JobControl::take_terminal_back() noexcept {
  if (!own_group_ || terminal_.foreground() != command_) return false;
  terminal_.set_foreground(getpgrp());
  return true;
}

void JobControl::follow_stop(int signal, bool asked) noexcept {
  // `fg` of a running job: the shell gave the terminal to our group, COMMAND's own one needs it.
  if (own_group_ && wants_terminal(signal) && terminal_.foreground() == getpgrp()) {
    resume();
    return;
  }
  const bool had_terminal = take_terminal_back();
  if (!wants_terminal(signal) && !asked && terminal_.foreground() != getpgrp()) return;

  // The terminal told COMMAND's group alone; the rest of the shell's job, other parts of a
  // pipeline too, is to stop as well.
  const int like = wants_terminal(signal) ? signal : SIGTSTP;
  if (stop_ourselves(like, had_terminal, command_) || !had_terminal) return;

  // Nobody can stop us (no shell): then ^Z has no effect on COMMAND either, as without a group.
  if (signal == SIGSTOP) {
    terminal_.set_foreground(command_);
  } else {
    resume();
  }
}

void JobControl::resume() noexcept {
  if (own_group_ && terminal_.foreground() == getpgrp()) terminal_.set_foreground(command_);
  kill(own_group_ ? -command_ : command_, SIGCONT);
}

void JobControl::ended() noexcept {
  take_terminal_back();
}

}  // namespace cachify::run

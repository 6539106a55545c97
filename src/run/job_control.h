#pragma once

#include <sys/types.h>

#include "run/terminal.h"

namespace cachify::run {

// Stop and continue together with COMMAND, so that a job-control shell sees one job, and, when
// COMMAND has a process group of its own, the terminal's foreground for that group.
//
// A stop that nobody could undo must not happen: cachify stops itself with TSTP, TTIN or TTOU only,
// which the kernel drops where no shell is left to continue us, and follows a STOP that COMMAND got
// in the background not at all.
class JobControl {
 public:
  explicit JobControl(bool own_group) noexcept : own_group_(own_group) {}

  // The terminal whose foreground COMMAND's own group is to become at its start; -1: none.
  int terminal_for_command() noexcept;
  void started(pid_t command) noexcept { command_ = command; }
  // It could not be executed, after its group may have become the foreground one already.
  void failed_to_start() noexcept;

  // COMMAND was stopped by `signal`; `asked`: cachify got a stop signal too. Returns when cachify
  // has been continued, or at once when it is not to stop.
  void follow_stop(int signal, bool asked) noexcept;

  // Continues the stopped COMMAND, in the foreground when cachify is there.
  void resume() noexcept;

  // COMMAND was reaped: the terminal is ours again if it had it.
  void ended() noexcept;

 private:
  bool take_terminal_back() noexcept;

  Terminal terminal_;
  bool own_group_;
  pid_t command_ = -1;
};

}  // namespace cachify::run

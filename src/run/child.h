#pragma once

#include <sys/types.h>

#include <array>
#include <span>

#include "run/interrupts.h"
#include "run/program.h"

namespace cachify::run {

// What is different for COMMAND from how cachify itself was started.
struct ChildSetup {
  std::span<const int> keep_fds;  // COMMAND inherits a copy of each
  bool own_group = false;         // becomes the leader of a process group of its own
  int terminal = -1;  // with own_group: that group becomes this terminal's foreground one
  // What COMMAND gets in place of our standard input, output and error; above 2. -1: ours.
  std::array<int, 3> streams{-1, -1, -1};
  int death_signal = 0;  // what it gets when cachify dies; 0: nothing
  int input = -1;        // its standard input and output; -1: as cachify's
  int output = -1;
};

struct Started {
  pid_t pid = -1;  // running; -1 when it could not be executed
  int error = 0;   // why not: the errno of exec
};

// Starts `program` in a process of its own, with signals as `interrupts` was given them. Returns
// once it has been executed or has failed to be (then the process is reaped already). Throws
// OsError when no process could be made.
Started start_child(const Program& program, const ChildSetup& setup, const Interrupts& interrupts);

}  // namespace cachify::run

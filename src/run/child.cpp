#include "run/child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "errors.h"
#include "quick/handover.h"

namespace cachify::run {
namespace {

// Descriptors below 10 are those that a shell script names; COMMAND finds them as we got them.
constexpr int kFirstQuietFd = 10;

struct Launch {
  const Program& program;
  const ChildSetup& setup;
  const Interrupts& interrupts;
  pid_t parent;
  // The child runs in our memory while we are suspended, so this is how exec's errno comes back:
  // exactly, without the pipe that a fork would need. Volatile, as another process writes it.
  volatile int error = 0;
};

// The child between clone and exec: async-signal-safe calls only, and nothing of the parent's
// memory is changed but `error`. All our signals are blocked until the end.
int child_main(void* argument) {
  auto& launch = *static_cast<Launch*>(argument);
  const ChildSetup& setup = launch.setup;

  // Only here and not in the parent as well: the parent does not run before the exec is done.
  if (setup.own_group) setpgid(0, 0);
  if (setup.terminal >= 0) tcsetpgrp(setup.terminal, getpid());

  if (setup.death_signal != 0) {
    prctl(PR_SET_PDEATHSIG, setup.death_signal);
    if (getppid() != launch.parent) return kExitOsError;  // died before it could matter
  }

  for (size_t i = 0; i < setup.streams.size(); ++i) {
    if (setup.streams[i] >= 0) dup2(setup.streams[i], static_cast<int>(i));
  }

  // A duplicate has no close-on-exec flag. None to be had that high: then in its own place.
  for (const int fd : setup.keep_fds) {
    if (fcntl(fd, F_DUPFD, kFirstQuietFd) < 0) fcntl(fd, F_SETFD, 0);
  }

  // Neither of the two is 0, 1 or 2 itself.
  if (setup.input >= 0) dup2(setup.input, STDIN_FILENO);
  if (setup.output >= 0) dup2(setup.output, STDOUT_FILENO);

  launch.interrupts.restore_in_child();
  launch.error = launch.program.execute();
  return kExitNotExecutable;  // clone ends the process with it
}

// Enough for the child's few calls and a signal frame; only touched pages are ever real.
constexpr size_t kStackSize = 64 * 1024;
alignas(64) char g_stack[kStackSize];

}  // namespace

// clone with CLONE_VM and CLONE_VFORK is what posix_spawn does: no page table is copied. Compared
// with vfork() the child has a stack of its own, so it cannot return into a frame that is gone.
// posix_spawn itself cannot make a group the terminal's foreground one, set a death signal, or
// fall back to /bin/sh with paths that were prepared, and resets all 64 signals one by one.
Started start_child(const Program& program, const ChildSetup& setup, const Interrupts& interrupts) {
  if (std::exchange(quick::handover.started, false)) return {quick::handover.pid, 0};
  Launch launch{program, setup, interrupts, setup.death_signal != 0 ? getpid() : 0};
  const pid_t pid =
      clone(child_main, g_stack + kStackSize, CLONE_VM | CLONE_VFORK | SIGCHLD, &launch);
  if (pid < 0) throw OsError("cannot start a process", errno);
  if (launch.error == 0) return {pid, 0};
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return {-1, launch.error};
}

}  // namespace cachify::run

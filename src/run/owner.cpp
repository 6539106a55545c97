#include "run/owner.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "errors.h"
#include "util/process.h"

namespace cachify::run {
namespace {

// By number: glibc has a wrapper since 2.36 only.
util::UniqueFd open_pidfd(pid_t pid) {
  return util::UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool has_ended(const util::UniqueFd& pidfd) {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return poll(&entry, 1, 0) != 0;
}

Owner owner_of(pid_t pid, util::UniqueFd pidfd) {
  return {pid, std::move(pidfd), util::command_line_of(pid)};
}

// A process shares the places of its program and stack with its parent exactly when it was forked
// and has not executed anything since.
bool is_forked_copy(const util::ProcessStat& child, const util::ProcessStat& parent) {
  const bool known = std::any_of(child.layout.begin(), child.layout.end(),
                                 [](uint64_t place) { return place > 1; });
  return known && child.layout == parent.layout;
}

bool has_ended(const util::ProcessStat& stat) {
  return stat.state == 'Z' || stat.state == 'X';
}

}  // namespace

Owner owner_named(pid_t pid) {
  const std::string name = "--owner-pid " + std::to_string(pid);
  util::UniqueFd pidfd = open_pidfd(pid);
  // A thread's number, EINVAL, names no process either.
  if (!pidfd && errno != ESRCH && errno != EINVAL) {
    throw OsError("cannot watch the process of " + name, errno);
  }
  if (!pidfd || has_ended(pidfd))
    throw UsageError(name + ": there is no such process; name one that runs");
  if (kill(pid, 0) != 0 && errno == EPERM) {
    throw UsageError(name + ": that process belongs to somebody else; name one of your own");
  }
  return owner_of(pid, std::move(pidfd));
}

// Any of them may end while we look, and its number may go to another process. So each descriptor
// is opened first, and what it was opened for is asked again afterwards.
Owner calling_shell() {
  const pid_t caller = getppid();
  if (caller <= 0) throw UsageError("the caller cannot be seen from here; give --owner-pid PID");
  util::UniqueFd pidfd = open_pidfd(caller);
  if (!pidfd || getppid() != caller) {
    if (!pidfd && errno != ESRCH) throw OsError("cannot watch the caller", errno);
    throw UsageError("the caller has ended already; give --owner-pid PID");
  }
  pid_t shell = caller;
  auto stat = util::process_stat(shell);
  while (stat && stat->parent > 0) {
    const pid_t above = stat->parent;
    util::UniqueFd above_fd = open_pidfd(above);
    const auto above_stat = util::process_stat(above);
    if (!above_fd || !above_stat || has_ended(*above_stat)) break;
    if (!is_forked_copy(*stat, *above_stat)) break;
    const auto again = util::process_stat(shell);
    if (!again || again->parent != above) break;  // it has lost its parent meanwhile
    shell = above;
    stat = above_stat;
    pidfd = std::move(above_fd);
  }
  return owner_of(shell, std::move(pidfd));
}

}  // namespace cachify::run

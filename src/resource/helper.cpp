#include "resource/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "errors.h"
#include "run/child.h"
#include "run/deadline.h"
#include "run/program.h"
#include "util/files.h"
#include "util/time_text.h"

namespace cachify::resource {

std::vector<std::string> shell_call(const std::string& text,
                                    const std::vector<std::string>& arguments) {
  std::vector<std::string> argv{"sh", "-c", text + " \"$@\"", text};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

Helper::Helper(const Order& order, const run::Interrupts& interrupts)
    : limit_(order.limit), kill_after_(order.kill_after) {
  const util::UniqueFd null =
      util::open_above_stdio(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (!null) throw OsError("cannot open /dev/null", errno);
  const run::Program program(order.argv, order.variables);
  run::ChildSetup setup;
  setup.own_group = true;
  setup.input = null.get();
  setup.output = order.output >= 0 ? order.output : null.get();
  setup.death_signal = order.dies_with_us ? SIGKILL : 0;
  next_ = run::deadline_after(limit_);
  const run::Started started = run::start_child(program, setup, interrupts);
  if (started.error != 0) throw OsError("cannot run " + order.argv.front(), started.error);
  pid_ = started.pid;
  pidfd_ = util::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) {
    const int error = errno;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    throw OsError("cannot watch a process", error);
  }
}

Helper::Helper(Helper&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      status_(other.status_),
      limit_(other.limit_),
      kill_after_(other.kill_after_),
      next_(other.next_),
      terminated_(other.terminated_),
      late_(other.late_) {}

Helper::~Helper() {
  if (pid_ < 0 || status_) return;
  signal(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// It is not reaped yet, so the number is still its own, and its group's.
void Helper::signal(int number) const noexcept {
  ::kill(-pid_, number);
}

void Helper::stop() noexcept {
  if (terminated_ || status_) return;
  terminated_ = true;
  signal(SIGTERM);
  signal(SIGCONT);
  next_ = run::deadline_after(kill_after_);
}

bool Helper::look() noexcept {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  if (status_) return true;
  if (util::monotonic_now() < next_) return false;
  if (terminated_) {
    signal(SIGKILL);
    next_ = {std::numeric_limits<int64_t>::max()};
  } else {
    late_ = true;
    stop();
  }
  return false;
}

std::string Helper::failure() const {
  if (late_) return "took longer than " + util::span_text(limit_);
  const int status = status_.value_or(0);
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "failed with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace cachify::resource

// Ends a program at a certain system call, as SIGKILL could at any instant.
//
//   killat [OPTION...] N PROGRAM [ARG...]
//
//   --exit         after the call has been done; else before it has any effect
//   --call NAME    count this call only: flock, fcntl, futex, pwrite64
//   --child        count the calls of the child that PROGRAM makes with vfork, until its exec;
//                  still it is PROGRAM that is ended, the child goes on
//   --fork         count and end the child that PROGRAM makes with fork, in its place; `pid` is
//                  told when it is there
//   --hold         at the call, report it, then read a line from standard input: `kill`, or `go` to
//                  let PROGRAM go on unattended
//
// PROGRAM's own calls are counted from 1, from after its exec; none of its command's. N of 0 counts
// all of them and ends nothing. Standard output tells, a line each: `pid PID`; with N of 0
// `call I NUMBER` for each; `at NUMBER` when the call was reached; last `killed` (exit 0) or
// `ended CODE` (PROGRAM ended before; exit 1). PROGRAM's standard output goes to standard error and
// its standard input is /dev/null. Exit 2: killat itself failed.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

struct Options {
  bool at_exit = false;
  bool in_child = false;
  bool in_fork = false;
  bool hold = false;
  long only = -1;
  long count = 0;
  char** program = nullptr;
};

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

long number_of(std::string_view name) {
  if (name == "flock") return SYS_flock;
  if (name == "fcntl") return SYS_fcntl;
  if (name == "futex") return SYS_futex;
  if (name == "pwrite64") return SYS_pwrite64;
  throw std::runtime_error("--call does not know " + std::string(name));
}

Options parse(char** word) {
  Options options;
  for (++word; *word != nullptr && std::string_view(*word).starts_with("--"); ++word) {
    const std::string_view name = *word;
    if (name == "--exit") {
      options.at_exit = true;
    } else if (name == "--child") {
      options.in_child = true;
    } else if (name == "--fork") {
      options.in_fork = true;
    } else if (name == "--hold") {
      options.hold = true;
    } else if (name == "--call" && word[1] != nullptr) {
      options.only = number_of(*++word);
    } else {
      throw std::runtime_error("not an option: " + std::string(name));
    }
  }
  if (*word == nullptr || word[1] == nullptr) throw std::runtime_error("N and PROGRAM are needed");
  options.count = std::stol(*word);
  options.program = word + 1;
  return options;
}

pid_t start(char** program) {
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid > 0) return pid;
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0) {
    raise(SIGSTOP);
    execvp(program[0], program);
  }
  std::perror(program[0]);
  _exit(2);
}

// One traced process, from stop to stop.
class Tracee {
 public:
  explicit Tracee(pid_t pid) : pid_(pid) {}

  pid_t pid() const { return pid_; }
  bool ended() const { return WIFEXITED(status_) || WIFSIGNALED(status_); }
  int status() const { return status_; }
  bool at_call() const { return WIFSTOPPED(status_) && WSTOPSIG(status_) == (SIGTRAP | 0x80); }
  int event() const { return status_ >> 16; }

  void wait() {
    while (waitpid(pid_, &status_, __WALL) < 0) {
      if (errno != EINTR) fail("waitpid");
    }
  }

  // Lets it go on to the next stop, with the signal that it is about to get.
  void resume() {
    int signal = 0;
    if (WIFSTOPPED(status_) && !at_call() && event() == 0) signal = WSTOPSIG(status_);
    request(PTRACE_SYSCALL, signal);
  }
  void detach() { request(PTRACE_DETACH, 0); }

  // At a call: its number, and whether this is the entry.
  __ptrace_syscall_info call() const {
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid_, reinterpret_cast<void*>(sizeof info), &info) <= 0) {
      info.op = PTRACE_SYSCALL_INFO_NONE;
    }
    return info;
  }

  unsigned long message() const {
    unsigned long value = 0;
    if (ptrace(PTRACE_GETEVENTMSG, pid_, nullptr, &value) != 0) fail("PTRACE_GETEVENTMSG");
    return value;
  }

 private:
  void request(__ptrace_request what, int signal) {
    // It may have been killed meanwhile; the next wait tells.
    if (ptrace(what, pid_, nullptr, reinterpret_cast<void*>(static_cast<intptr_t>(signal))) != 0 &&
        errno != ESRCH) {
      fail("ptrace");
    }
  }

  pid_t pid_;
  int status_ = 0;
};

void say(const char* what, long number) {
  std::printf("%s %ld\n", what, number);
  std::fflush(stdout);
}

bool told_to_kill(const Options& options) {
  if (!options.hold) return true;
  char line[16] = "";
  return std::fgets(line, sizeof line, stdin) == nullptr || std::strcmp(line, "go\n") != 0;
}

// Counts the calls of a tracee. True when the one that is looked for was reached.
class Counter {
 public:
  explicit Counter(const Options& options) : options_(options) {}

  bool reached(const Tracee& tracee) {
    const __ptrace_syscall_info info = tracee.call();
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      number_ = static_cast<long>(info.entry.nr);
      if (options_.only < 0 || number_ == options_.only) ++count_;
      counts_ = options_.only < 0 || number_ == options_.only;
      if (options_.count == 0 && counts_) std::printf("call %ld %ld\n", count_, number_);
      return !options_.at_exit && hit();
    }
    return info.op == PTRACE_SYSCALL_INFO_EXIT && options_.at_exit && hit();
  }
  long number() const { return number_; }

 private:
  bool hit() const { return counts_ && options_.count != 0 && count_ == options_.count; }

  const Options& options_;
  long count_ = 0;
  long number_ = -1;
  bool counts_ = false;
};

int ended(const Tracee& tracee) {
  const int status = tracee.status();
  say("ended", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}

int finish(Tracee& program) {
  kill(program.pid(), SIGKILL);
  do {
    program.wait();
  } while (!program.ended());
  std::puts("killed");
  std::fflush(stdout);
  return 0;
}

int let_go(Tracee& program) {
  program.detach();
  program.wait();
  while (!program.ended()) program.wait();
  return ended(program);
}

// The program stands at its vfork, and its child at its first stop.
int follow_child(const Options& options, Tracee& program) {
  Tracee child(static_cast<pid_t>(program.message()));
  child.wait();
  program.resume();  // into the wait for the child's exec
  Counter counter(options);
  bool first = true;
  for (;;) {
    // The stop that every new tracee begins with is no signal of its own.
    if (first) {
      ptrace(PTRACE_SYSCALL, child.pid(), nullptr, nullptr);
    } else {
      child.resume();
    }
    first = false;
    child.wait();
    if (child.ended()) break;
    if (child.event() == PTRACE_EVENT_EXEC) {
      child.detach();
      break;
    }
    if (!child.at_call() || !counter.reached(child)) continue;
    say("at", counter.number());
    if (!told_to_kill(options)) {
      child.detach();
      break;
    }
    const int code = finish(program);
    child.detach();
    return code;
  }
  for (;;) {
    program.wait();
    if (program.ended()) return ended(program);
    program.resume();
  }
}

// The program stands at its fork: it goes on alone, and its child is what the rest is about.
int follow_fork(const Options& options, Tracee& program) {
  Tracee child(static_cast<pid_t>(program.message()));
  child.wait();
  program.detach();
  say("pid", child.pid());
  Counter counter(options);
  ptrace(PTRACE_SYSCALL, child.pid(), nullptr, nullptr);
  int code = 1;
  for (;;) {
    child.wait();
    if (child.ended()) {
      code = ended(child);
      break;
    }
    if (child.at_call() && counter.reached(child)) {
      say("at", counter.number());
      code = told_to_kill(options) ? finish(child) : let_go(child);
      break;
    }
    child.resume();
  }
  std::fflush(stdout);
  do {
    program.wait();
  } while (!program.ended());
  return code;
}

int run(const Options& options) {
  Tracee program(start(options.program));
  program.wait();
  if (program.ended()) return 2;
  const long traces = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC |
                      (options.in_child ? PTRACE_O_TRACEVFORK : 0) |
                      (options.in_fork ? PTRACE_O_TRACEFORK : 0);
  if (ptrace(PTRACE_SETOPTIONS, program.pid(), nullptr, traces) != 0) fail("PTRACE_SETOPTIONS");
  if (ptrace(PTRACE_SYSCALL, program.pid(), nullptr, nullptr) != 0) fail("ptrace");
  if (!options.in_fork) say("pid", program.pid());

  Counter counter(options);
  bool executed = false;  // and the exit of its exec was seen
  bool executing = false;
  for (;;) {
    program.wait();
    if (program.ended()) return ended(program);
    if (program.event() == PTRACE_EVENT_EXEC) executing = true;
    if (program.event() == PTRACE_EVENT_VFORK) return follow_child(options, program);
    if (program.event() == PTRACE_EVENT_FORK) return follow_fork(options, program);
    if (program.at_call()) {
      if (executed && !options.in_child && !options.in_fork && counter.reached(program)) {
        say("at", counter.number());
        return told_to_kill(options) ? finish(program) : let_go(program);
      }
      executed = executing;
    }
    program.resume();
  }
}

}  // namespace

int main(int, char** argv) {
  try {
    return run(parse(argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "killat: %s\n", error.what());
    return 2;
  }
}

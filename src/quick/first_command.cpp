#include "quick/first_command.h"

#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include <initializer_list>

#include "quick/handover.h"
#include "quick/kernel.h"
#include "quick/signals.h"

namespace cachify::quick {

namespace {

constexpr size_t kMostVariables = 2000;
char* environment[kMostVariables + 7];
Text<8192> variables;
constexpr size_t kLongestPath = 4000;

bool is_variable_of_ours(const char* text) {
  const char* name = behind(text, "CACHIFY_");
  return name != nullptr && tells_of_a_slot(name);
}

// The environment of run.cpp's variables_for(), without what stood there before.
bool prepare_environment(const PlainCall& call) {
  size_t n = 0;
  for (char** entry = call.environment; *entry != nullptr; ++entry) {
    if (is_variable_of_ours(*entry)) continue;
    if (n == kMostVariables) return false;
    environment[n++] = *entry;
  }
  variables.clear();
  const auto begin = [&](const char* name) -> Text<8192>& {
    environment[n++] = variables.data() + variables.used();
    return variables.add(name);
  };
  begin("CACHIFY_KEY=").add(call.key).add('\0');
  begin("CACHIFY_MAX=").add_number(handover.asked ? handover.cap : call.max, 10).add('\0');
  begin("CACHIFY_SLOT=").add_number(handover.slot, 10).add('\0');
  if (handover.asked) {
    begin("CACHIFY_ID=").add(handover.id).add('\0');
  } else {
    begin("CACHIFY_ID=").add_number(handover.ticket, 16).add('\0');
  }
  begin("CACHIFY_FENCE=").add_number(handover.fence, 10).add('\0');
  const auto ms = static_cast<uint64_t>(handover.waited_ns / 1'000'000);
  begin("CACHIFY_WAITED=").add_number(ms / 1000, 10).add('.');
  for (const uint64_t digit : {ms / 100 % 10, ms / 10 % 10, ms % 10}) {
    variables.add_number(digit, 10);
  }
  variables.add('\0');
  environment[n] = nullptr;
  return variables.ok();
}

struct Child {
  const PlainCall* call;
  long parent;
  bool ran;  // the child writes it: it shares our memory until its exec
};
Child child;

void execute(const char* path) {
  kernel(__NR_execve, address(path), address(child.call->command), address(environment));
}

// As execvp(3) looks for it. Comes back when there is nothing to execute, for whatever reason.
void execute_from_path() {
  const PlainCall& call = *child.call;
  const char* command = call.command[0];
  for (const char* c = command; *c != '\0'; ++c) {
    if (*c == '/') return execute(command);
  }
  static Text<kLongestPath + 512> candidate;
  const char* rest = call.path;
  for (;;) {
    candidate.clear();
    const char* start = rest;
    for (; *rest != '\0' && *rest != ':'; ++rest) candidate.add(*rest);
    if (rest != start) candidate.add('/');
    candidate.add(command);
    if (!candidate.ok()) return;
    const long error = kernel(__NR_execve, address(candidate.c_str()), address(call.command),
                              address(environment));
    constexpr long kNoEntry = -2, kDenied = -13, kNoDirectory = -20;
    if (error != kNoEntry && error != kDenied && error != kNoDirectory) return;
    if (*rest++ == '\0') return;
  }
}

// Runs on a stack of its own in the memory of the parent, which stands still until the exec.
[[noreturn]] void child_main() {
  // As run/child.cpp: out of the way of scripts, or in its own place.
  if (!handover.asked && kernel(__NR_fcntl, handover.hold_fd, F_DUPFD, 10) < 0) {
    kernel(__NR_fcntl, handover.hold_fd, F_SETFD, 0);
  }
  // A lease cannot outlive us: the --on-lost of a lock is TERM, that of a pool is none.
  if (handover.asked && child.call->lock) {
    kernel(__NR_prctl, PR_SET_PDEATHSIG, SIGTERM);
    if (kernel(__NR_getppid) != child.parent) kernel(__NR_exit_group, 126);
  }
  if (handover.child_was_ignored) {
    const Action ignore{kIgnore, 0, 0, 0};
    set_action(SIGCHLD, &ignore, nullptr);
  }
  kernel(__NR_rt_sigprocmask, SIG_SETMASK, address(&handover.given_mask), 0,
         sizeof handover.given_mask);
  execute_from_path();
  child.ran = false;
  for (;;) kernel(__NR_exit_group, 126);
}

alignas(16) char stack[16 * 1024];

// clone(2) as vfork does it, but with a stack for the child.
long clone_child() {
  long result;
  register long flags asm("rdi") = CLONE_VM | CLONE_VFORK | SIGCHLD;
  register long top asm("rsi") = address(stack + sizeof stack);
  register long none asm("rdx") = 0;
  register long none2 asm("r10") = 0;
  register long none3 asm("r8") = 0;
  register void (*function)() asm("r12") = child_main;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone), "r"(flags), "r"(top), "r"(none), "r"(none2), "r"(none3), "r"(function)
      : "rcx", "r11", "memory");
  return result;
}

}  // namespace

void start_first_command(const PlainCall& call) {
  if (call.path == nullptr || length(call.path) > kLongestPath || !prepare_environment(call) ||
      (pending_signals(handover.given_mask) & kStops) != 0) {
    return;
  }
  // Before the command runs, as it could not be watched without.
  const long signals =
      kernel(__NR_signalfd4, -1, address(&kBlocked), sizeof kBlocked, O_CLOEXEC | O_NONBLOCK);
  if (signals < 0) return;
  handover.signal_fd = static_cast<int>(signals);
  child.call = &call;
  if (handover.asked && call.lock) child.parent = kernel(__NR_getpid);
  child.ran = true;
  const long pid = clone_child();
  if (pid < 0) return;
  if (child.ran) {
    handover.pid = static_cast<int>(pid);
    handover.started = true;
    return;
  }
  kernel(__NR_wait4, pid);
}

}  // namespace cachify::quick

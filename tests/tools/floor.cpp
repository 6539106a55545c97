// What a program that holds a lock while a command runs costs at the very least: the lower bound
// that tests/bench measures beside the real ones. No C library, no options, no care for signals.
//
//   floor FILE COMMAND...
//
// Opens FILE, waits for flock(2) on it, runs COMMAND (an absolute path) as its child, ends with 0.
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <signal.h>

#include "quick/kernel.h"

namespace {

using cachify::quick::address;
using cachify::quick::kernel;

constexpr long kExclusive = 2;  // LOCK_EX

char** command;
char** environment;
alignas(16) char child_stack[4096];

[[noreturn]] void child_main() {
  kernel(__NR_execve, address(command[0]), address(command), address(environment));
  for (;;) kernel(__NR_exit_group, 127);
}

// clone(2) as vfork does it, with a stack for the child, as in src/quick/first_command.cpp.
long clone_child() {
  long result;
  register long flags asm("rdi") = CLONE_VM | CLONE_VFORK | SIGCHLD;
  register long top asm("rsi") = address(child_stack + sizeof child_stack);
  register long none asm("rdx") = 0;
  register long none2 asm("r10") = 0;
  register long none3 asm("r8") = 0;
  register void (*function)() asm("r12") = child_main;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "call *%%r12\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(__NR_clone), "r"(flags), "r"(top), "r"(none), "r"(none2), "r"(none3), "r"(function)
      : "rcx", "r11", "memory");
  return result;
}

}  // namespace

extern "C" [[gnu::used]] void floor_main(long* stack) {
  const long argc = stack[0];
  char** argv = reinterpret_cast<char**>(stack + 1);
  if (argc < 3) kernel(__NR_exit_group, 64);
  command = argv + 2;
  environment = argv + argc + 1;
  const long fd =
      kernel(__NR_openat, AT_FDCWD, address(argv[1]), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 || kernel(__NR_flock, fd, kExclusive) != 0) kernel(__NR_exit_group, 1);
  const long pid = clone_child();
  int status = 1;
  if (pid > 0) kernel(__NR_wait4, pid, address(&status));
  kernel(__NR_exit_group, status == 0 ? 0 : 1);
}

asm(R"(
  .text
  .globl _start
_start:
  xor %ebp, %ebp
  mov %rsp, %rdi
  and $-16, %rsp
  call floor_main
  hlt
)");

// A COMMAND that leaves evidence: when it ran, in which slot, under which fence.
//
//   job LOG LABEL MS
//
// Appends `start TIME PID LABEL SLOT FENCE ENTERED` to LOG, sleeps for MS milliseconds (-1: until
// killed) and appends `end TIME PID LABEL SLOT FENCE ENTERED`. TIME is CLOCK_MONOTONIC in ns. Each
// record is one write to a file opened with O_APPEND, so the records of many processes never mix.
// The start is taken first and the end last, so that what lies between them surely ran. ENTERED is
// the time of this program's first instruction, before its C library starts (0: not known here).
// A TERM ends it, but not without the record of its end.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

extern "C" {
extern timespec job_entered;
timespec job_entered = {0, 0};
}

#ifdef __x86_64__
// The program's first instructions (the linker's -e): clock_gettime(CLOCK_MONOTONIC), and on to the
// C library with the stack and rdx as they came.
asm(R"(
  .text
  .globl job_entry
  .type job_entry, @function
job_entry:
  mov $228, %eax
  mov $1, %edi
  lea job_entered(%rip), %rsi
  syscall
  jmp _start
  .size job_entry, . - job_entry
)");
#endif

namespace {

int64_t ns_of(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return ns_of(time);
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "-";
}

bool append(int log, const char* what, const char* label) {
  std::array<char, 512> line{};
  const int length = std::snprintf(line.data(), line.size(), "%s %lld %d %s %s %s %lld\n", what,
                                   static_cast<long long>(now_ns()), static_cast<int>(getpid()),
                                   label, variable("CACHIFY_SLOT"), variable("CACHIFY_FENCE"),
                                   static_cast<long long>(ns_of(job_entered)));
  return length > 0 && write(log, line.data(), static_cast<size_t>(length)) == length;
}

sigset_t only_term() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  return set;
}

// Below 0: without an end. True when a TERM came, which has to be blocked. A stop and CONT
// interrupt either wait (EINTR) even without a handler.
bool told_to_end_within(long ms) {
  const sigset_t term = only_term();
  if (ms < 0) {
    while (sigwaitinfo(&term, nullptr) != SIGTERM) {
    }
    return true;
  }
  const int64_t end = now_ns() + int64_t{ms} * 1'000'000;
  for (;;) {
    const int64_t now = now_ns();
    const int64_t left = end > now ? end - now : 0;
    const timespec rest{left / 1'000'000'000, left % 1'000'000'000};
    if (sigtimedwait(&term, nullptr, &rest) == SIGTERM) return true;
    if (left == 0) return false;
  }
}

[[noreturn]] void die_of_term() {
  const sigset_t term = only_term();
  std::raise(SIGTERM);
  sigprocmask(SIG_UNBLOCK, &term, nullptr);
  std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: job LOG LABEL MS\n", stderr);
    return 64;
  }
  const sigset_t term = only_term();
  sigprocmask(SIG_BLOCK, &term, nullptr);
  const int log = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (log < 0 || !append(log, "start", argv[2])) {
    std::perror(argv[1]);
    return 1;
  }
  const bool told = told_to_end_within(std::strtol(argv[3], nullptr, 10));
  if (!append(log, "end", argv[2])) return 1;
  if (told) die_of_term();
  return 0;
}

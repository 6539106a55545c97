// A COMMAND that leaves evidence: when it ran, in which slot, under which fence.
//
//   job LOG LABEL MS
//
// Appends `start TIME PID LABEL SLOT FENCE` to LOG, sleeps for MS milliseconds (-1: until killed)
// and appends `end TIME PID LABEL SLOT FENCE`; so it does when TERM comes, of which it then dies.
// TIME is CLOCK_MONOTONIC in ns. Each record is one write to a file opened with O_APPEND, so the
// records of many processes never mix. The start is taken first and the end last, so that what lies
// between them surely ran.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "-";
}

bool append(int log, const char* what, const char* label) {
  std::array<char, 512> line{};
  const int length = std::snprintf(line.data(), line.size(), "%s %lld %d %s %s %s\n", what,
                                   static_cast<long long>(now_ns()), static_cast<int>(getpid()),
                                   label, variable("CACHIFY_SLOT"), variable("CACHIFY_FENCE"));
  return length > 0 && write(log, line.data(), static_cast<size_t>(length)) == length;
}

// Until then, or until TERM, which is blocked, comes: true.
bool term_within(const sigset_t& term, long ms) {
  const int64_t end = now_ns() + int64_t{ms} * 1'000'000;
  for (;;) {
    if (ms < 0) {
      if (sigwaitinfo(&term, nullptr) == SIGTERM) return true;
      continue;
    }
    const int64_t left = end > now_ns() ? end - now_ns() : 0;
    const timespec rest{static_cast<time_t>(left / 1'000'000'000),
                        static_cast<long>(left % 1'000'000'000)};
    if (sigtimedwait(&term, nullptr, &rest) == SIGTERM) return true;
    if (left == 0) return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: job LOG LABEL MS\n", stderr);
    return 64;
  }
  // Before the start is written: whoever sees it may send TERM.
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  const int log = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (log < 0 || !append(log, "start", argv[2])) {
    std::perror(argv[1]);
    return 1;
  }
  const bool ended = term_within(term, std::strtol(argv[3], nullptr, 10));
  if (!append(log, "end", argv[2])) return 1;
  if (ended) {
    std::raise(SIGTERM);
    sigprocmask(SIG_UNBLOCK, &term, nullptr);
  }
  return 0;
}

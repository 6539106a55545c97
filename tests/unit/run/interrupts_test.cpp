#include "run/interrupts.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>

#include "support/in_child.h"

using namespace cachify;
using namespace std::chrono_literals;
using run::Interrupts;
using test::in_child;

namespace {

constexpr std::array kStops{SIGTERM, SIGINT, SIGHUP, SIGQUIT};

// A call that blocks for ever and takes no mask.
int block() {
  std::array<int, 2> ends{};
  char byte = 0;
  if (pipe(ends.data()) != 0) return 0;
  const ssize_t size = read(ends[0], &byte, 1);
  const int error = size < 0 ? errno : 0;
  close(ends[0]);
  close(ends[1]);
  return error;
}

sigset_t current_mask() {
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  return mask;
}

struct sigaction disposition(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  return action;
}

void block_signal(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

util::MonotonicTime in(util::Duration d) {
  return util::monotonic_now() + d;
}

}  // namespace

TEST_CASE("what a wait is also to wake on ends it, once, and is noted") {
  const auto result = test::in_child([] {
    run::Interrupts interrupts;
    interrupts.also_wake_on({SIGCHLD, SIGUSR1});
    const timespec long_time{60, 0};
    if (interrupts.any_to_take()) return 1;
    raise(SIGUSR1);  // blocked until a wait
    if (interrupts.any_to_take()) return 2;
    if (ppoll(nullptr, 0, &long_time, &interrupts.wait_mask()) != -1) return 3;
    if (interrupts.caught() || interrupts.take(SIGCHLD)) return 4;
    if (!interrupts.take(SIGUSR1) || interrupts.take(SIGUSR1)) return 5;
    raise(SIGCHLD);
    {
      const run::Interrupts::Window window(interrupts, std::nullopt);
      if (!run::Interrupts::Window::woken()) return 6;
    }
    if (!interrupts.take(SIGCHLD) || interrupts.any_to_take()) return 7;
    raise(SIGTERM);
    raise(SIGINT);
    ppoll(nullptr, 0, &long_time, &interrupts.wait_mask());
    if (run::Interrupts::stops() != 2) return 8;
    return 0;
  });
  CHECK(result.code() == 0);
}

TEST_CASE("a stop is blocked from the start, and seen while it is pending") {
  for (const int stop : kStops) {
    const auto done = in_child([stop] {
      int seen = 0;
      {
        Interrupts interrupts;
        if (interrupts.caught()) return 1;
        raise(stop);
        seen = interrupts.caught().value_or(0);
        interrupts.command_ended();  // it ran; the stop came too late and is dropped
      }
      return seen == stop ? 0 : 2;
    });
    CHECK(done.code() == 0);
  }
}

TEST_CASE("a stop that no command was run before ends the process as its mask is put back") {
  const auto killed = in_child([] {
    {
      Interrupts interrupts;
      raise(SIGTERM);
    }
    return 0;
  });
  CHECK(killed.signal() == SIGTERM);
}

TEST_CASE("a call in a window ends with EINTR by a signal that was there before it") {
  const auto done = in_child([] {
    Interrupts interrupts;
    raise(SIGINT);
    int error = 0;
    {
      Interrupts::Window window(interrupts, std::nullopt);
      // The handler has run by now: only the timer can end the call.
      error = block();
    }
    interrupts.command_ended();
    return error == EINTR && interrupts.caught() == SIGINT ? 0 : 1;
  });
  CHECK(done.code() == 0);
}

TEST_CASE("a call in a later window ends as well, as the signal stays caught") {
  const auto done = in_child([] {
    Interrupts interrupts;
    raise(SIGINT);
    for (int i = 0; i < 3; ++i) {
      Interrupts::Window window(interrupts, std::nullopt);
      if (block() != EINTR) return 1;
    }
    return interrupts.caught() == SIGINT ? 0 : 2;
  });
  CHECK(done.code() == 0);
}

TEST_CASE("a call in a window ends at the deadline, again and again after it") {
  const auto done = in_child([] {
    Interrupts interrupts;
    const auto start = util::monotonic_now();
    {
      Interrupts::Window window(interrupts, in(30ms));
      if (block() != EINTR) return 1;
      if (util::monotonic_now() - start < 30ms) return 2;
      if (block() != EINTR) return 3;
    }
    {
      Interrupts::Window window(interrupts, util::MonotonicTime{0});  // long past
      if (block() != EINTR) return 4;
    }
    return interrupts.caught() ? 5 : 0;
  });
  CHECK(done.code() == 0);
}

TEST_CASE("ppoll with the wait mask ends by a pending stop") {
  const auto done = in_child([] {
    Interrupts interrupts;
    raise(SIGHUP);
    if (ppoll(nullptr, 0, nullptr, &interrupts.wait_mask()) != -1 || errno != EINTR) return 1;
    interrupts.command_ended();
    return interrupts.caught() == SIGHUP ? 0 : 2;
  });
  CHECK(done.code() == 0);
}

TEST_CASE("signals that were given ignored or blocked do not interrupt, and stay so") {
  for (const bool ignored : {true, false}) {
    const auto done = in_child([ignored] {
      if (ignored) {
        signal(SIGHUP, SIG_IGN);
      } else {
        block_signal(SIGHUP);
      }
      {
        Interrupts interrupts;
        raise(SIGHUP);
        if (interrupts.caught()) return 1;
        {
          Interrupts::Window window(interrupts, in(10ms));
          block();
          if ((disposition(SIGHUP).sa_handler == SIG_IGN) != ignored) return 2;
        }
        if (interrupts.caught()) return 3;
        raise(SIGTERM);  // others still do
        if (interrupts.caught() != SIGTERM) return 4;
        interrupts.command_ended();
      }
      const sigset_t mask = current_mask();
      if ((sigismember(&mask, SIGHUP) == 1) == ignored) return 5;
      return (disposition(SIGHUP).sa_handler == SIG_IGN) == ignored ? 0 : 6;
    });
    CHECK(done.code() == 0);
  }
}

TEST_CASE("mask, dispositions and an alarm are afterwards what they were") {
  const auto done = in_child([] {
    signal(SIGCHLD, SIG_IGN);
    signal(SIGRTMAX - 1, SIG_IGN);
    block_signal(SIGUSR2);
    block_signal(SIGRTMAX - 1);
    const itimerval alarm_in{{0, 0}, {1000, 0}};
    setitimer(ITIMER_REAL, &alarm_in, nullptr);
    const sigset_t before = current_mask();
    {
      Interrupts interrupts;
      if (disposition(SIGCHLD).sa_handler != SIG_DFL) return 1;
      Interrupts::Window window(interrupts, in(5ms));
      block();
    }
    const sigset_t after = current_mask();
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
      if (sigismember(&before, signal) != sigismember(&after, signal)) return 2;
      const bool ignored = signal == SIGCHLD || signal == SIGRTMAX - 1;
      if (signal == 32 || signal == 33) continue;  // the C library's own
      if (disposition(signal).sa_handler != (ignored ? SIG_IGN : SIG_DFL)) return 3;
    }
    itimerval left{};
    getitimer(ITIMER_REAL, &left);
    return left.it_value.tv_sec > 900 ? 0 : 4;
  });
  CHECK(done.code() == 0);
}

TEST_CASE("what came too late for the command neither ends nor stops us") {
  const auto done = in_child([] {
    {
      Interrupts interrupts;
      interrupts.command_ended();
      for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP}) {
        raise(signal);
      }
      Interrupts::Window window(interrupts, in(5ms));  // a release that waits for a mutex
      if (block() != EINTR) return 1;
    }
    return 0;
  });
  CHECK(done.status == 0);
}

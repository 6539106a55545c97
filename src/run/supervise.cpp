#include "run/supervise.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "errors.h"
#include "exit_codes.h"
#include "quick/handover.h"
#include "run/deadline.h"
#include "run/explain.h"
#include "run/interrupts.h"
#include "util/log.h"

namespace cachify::run {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

constexpr std::array kForwarded{SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
                                SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};
constexpr std::array kStops{SIGTSTP, SIGTTIN, SIGTTOU};
// For these cachify dies of the signal itself, so that a shell's loop ends too.
constexpr std::array kDieToo{SIGTERM, SIGINT, SIGHUP, SIGQUIT};

template <size_t N>
constexpr bool contains(const std::array<int, N>& signals, int signal) {
  return std::find(signals.begin(), signals.end(), signal) != signals.end();
}

timespec to_timespec(int64_t ns) {
  return {ns / kSecond, ns % kSecond};
}

Ending ending_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {info.si_status, std::nullopt};
  Ending ending{kExitSignalBase + info.si_status, std::nullopt};
  if (contains(kDieToo, info.si_status)) ending.signal = info.si_status;
  return ending;
}

util::UniqueFd open_signals() {
  const int opened = std::exchange(quick::handover.signal_fd, 0);
  if (opened > 0) return util::UniqueFd(opened);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kForwarded) sigaddset(&set, signal);
  for (const int signal : kStops) sigaddset(&set, signal);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, kPokeSignal);
  util::UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw OsError("cannot watch for signals", errno);
  return fd;
}

// CLOCK_BOOTTIME, as ppoll's time-outs stand still while the machine sleeps and leases do not.
util::UniqueFd open_timer() {
  util::UniqueFd fd(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) throw OsError("cannot make a timer", errno);
  return fd;
}

}  // namespace

// What one wake-up brought.
struct Supervisor::Batch {
  std::array<signalfd_siginfo, 12> buffer;
  size_t count = 0;
  bool lease = false;

  std::span<const signalfd_siginfo> signals() const { return {buffer.data(), count}; }
  bool has(int signal) const {
    return std::any_of(signals().begin(), signals().end(), [signal](const signalfd_siginfo& info) {
      return info.ssi_signo == static_cast<uint32_t>(signal);
    });
  }
};

Supervisor::Supervisor(store::Lease& lease, const Request& request, JobControl& jobs)
    : lease_(lease),
      request_(request),
      jobs_(jobs),
      signals_(open_signals()),
      lease_watched_(lease.tick_fd() >= 0 || lease.next_tick().has_value()) {
  if (lease_watched_) tick_timer_ = open_timer();
}

Ending Supervisor::watch(pid_t command) {
  command_ = command;
  jobs_.started(command);
  if (request_.escort != nullptr) attend_at_ = request_.escort->attend();
  while (!ending_) {
    Batch batch;
    wait(batch);
    // COMMAND first: what it has become decides about CONT, and a lease that is lost as COMMAND
    // ends does not take its code away.
    look_at_command();
    if (ending_) break;
    pass_on(batch);
    if (stop_is_new_ && !batch.has(SIGCONT)) {
      stop_is_new_ = false;
      jobs_.follow_stop(stopped_by_, stop_asked_);
      stop_asked_ = false;
    }
    if ((batch.lease && lease_watched_) || batch.has(kPokeSignal)) look_at_lease();
    if (kill_at_ && util::monotonic_now() >= *kill_at_) {
      kill_at_.reset();
      send(SIGKILL);
    }
    if (request_.escort != nullptr) attend_at_ = request_.escort->attend();
  }
  jobs_.ended();
  if (ended_for_lease_) return {kExitLost, std::nullopt};
  return *ending_;
}

void Supervisor::wait(Batch& batch) {
  std::array<pollfd, 3> fds{pollfd{signals_.get(), POLLIN, 0}, pollfd{-1, POLLIN, 0},
                            pollfd{-1, POLLIN, 0}};
  if (lease_watched_) {
    fds[1].fd = lease_.tick_fd();
    fds[2].fd = tick_timer_.get();
    const int64_t next = lease_.next_tick().value_or(0);  // 0 disarms
    const itimerspec when{{0, 0}, to_timespec(std::max<int64_t>(next, 0))};
    timerfd_settime(tick_timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }
  timespec timeout{};
  std::optional<util::MonotonicTime> until = kill_at_;
  if (attend_at_ && (!until || *attend_at_ < *until)) until = attend_at_;
  if (until) timeout = to_timespec(std::max<int64_t>((*until - util::monotonic_now()).count(), 0));
  if (ppoll(fds.data(), fds.size(), until ? &timeout : nullptr, nullptr) <= 0) return;
  if (fds[0].revents != 0) read_signals(batch);
  batch.lease = fds[1].revents != 0 || fds[2].revents != 0;
}

void Supervisor::read_signals(Batch& batch) const noexcept {
  const ssize_t size = read(signals_.get(), batch.buffer.data(), sizeof batch.buffer);
  if (size > 0) batch.count = static_cast<size_t>(size) / sizeof batch.buffer[0];
}

void Supervisor::pass_on(const Batch& batch) noexcept {
  for (const signalfd_siginfo& info : batch.signals()) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (contains(kStops, signal)) {
      // Whether we stop is COMMAND's decision: it may have to tidy up the terminal first, or may
      // not want to stop at all.
      stop_asked_ = true;
      if (!command_has_it(signal, info.ssi_code)) send(signal);
    } else if (signal == SIGCONT && stopped_by_ != 0) {
      jobs_.resume();
    } else if (signal == SIGCONT && continued_) {
      // `fg` and `bg` continue the whole group; COMMAND tells by its state that it has got it.
    } else if (contains(kForwarded, signal) && !command_has_it(signal, info.ssi_code)) {
      send(signal);
    }
  }
  if (batch.has(SIGCONT)) stop_is_new_ = stop_asked_ = false;
  continued_ = false;
}

// What the terminal sends (kill(2) has another code) goes to its whole foreground group. But when
// it is hung up, the leader of the session alone gets HUP and CONT.
bool Supervisor::command_has_it(int signal, int code) const noexcept {
  if (code != SI_KERNEL || getpgid(command_) != getpgrp()) return false;
  return !((signal == SIGHUP || signal == SIGCONT) && getsid(0) == getpid());
}

void Supervisor::look_at_command() noexcept {
  for (;;) {
    siginfo_t info{};
    const int result = waitid(P_PID, static_cast<id_t>(command_), &info,
                              WEXITED | WSTOPPED | WCONTINUED | WNOHANG);
    if (result != 0 || info.si_pid != command_) return;
    if (info.si_code == CLD_CONTINUED) {
      stopped_by_ = 0;
      stop_is_new_ = false;
      continued_ = true;
    } else if (info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED) {
      stopped_by_ = info.si_status;
      stop_is_new_ = true;
      continued_ = false;
    } else {
      ending_ = ending_of(info);
      return;
    }
  }
}

void Supervisor::look_at_lease() {
  const store::Lease::State state = lease_.tick();
  if (state == store::Lease::State::held || ended_for_lease_) return;
  // A command that goes on all the same may get its lease back when the store does; and one that is
  // being ended needs it until it has ended.
  lease_watched_ =
      lease_watched_ && (state == store::Lease::State::taken ||
                         (state == store::Lease::State::lost && request_.on_lost == OnLost::warn));
  look_at_command();  // tick() may have taken a while
  if (ending_) return;
  const std::string key = shown_key(request_);
  if (state == store::Lease::State::taken) {
    util::message(key + ": the slot was taken away; ending the command");
    end_command(SIGTERM);
  } else if (state == store::Lease::State::released) {
    util::explain(key + ": somebody gave the slot back; the command goes on without it");
  } else if (request_.on_lost == OnLost::warn) {
    util::error(key + ": the lease was lost; the command goes on without it");
  } else {
    util::error(key + ": the lease was lost; ending the command");
    end_command(request_.on_lost == OnLost::kill ? SIGKILL : SIGTERM);
  }
}

void Supervisor::end_command(int signal) noexcept {
  ended_for_lease_ = true;
  send(signal);
  if (signal == SIGKILL) return;
  send(SIGCONT);  // a stopped one could not act on it
  kill_at_ = deadline_after(lease_.kill_after().value_or(request_.kill_after));
}

// COMMAND is reaped by look_at_command() alone, so the number is still its own here.
void Supervisor::send(int signal) const noexcept {
  kill(request_.own_group ? -command_ : command_, signal);
}

}  // namespace cachify::run

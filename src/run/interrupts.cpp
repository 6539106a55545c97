#include "run/interrupts.h"

#include <time.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <iterator>
#include <utility>

#include "errors.h"
#include "quick/handover.h"

namespace cachify::run {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr long kRepeatNs = 3'000'000;

// What the handlers need. They do nothing but note the signal and keep the timer going.
volatile sig_atomic_t g_caught = 0;
volatile sig_atomic_t g_in_window = 0;
volatile sig_atomic_t g_woken = 0;  // in this window, by what is not a stop
volatile sig_atomic_t g_stops = 0;
volatile sig_atomic_t g_seen[NSIG];  // the poke and the extra ones, since they were taken
timer_t g_timer;
Interrupts* g_alive = nullptr;

// The highest but one: the least likely to mean something to anybody. (Valgrind has the highest.)
int tick_signal() {
  return SIGRTMAX - 1;
}

void repeat_tick() noexcept {
  const itimerspec soon{{0, kRepeatNs}, {0, kRepeatNs}};
  timer_settime(g_timer, 0, &soon, nullptr);
}

void stop_tick() noexcept {
  const itimerspec never{};
  timer_settime(g_timer, 0, &never, nullptr);
}

void on_stop(int signal) {
  const int saved = errno;
  if (g_caught == 0) g_caught = signal;
  g_stops = g_stops + 1;
  if (g_in_window != 0) repeat_tick();
  errno = saved;
}

void on_wake(int signal) {
  const int saved = errno;
  g_woken = 1;
  g_seen[signal] = 1;
  if (g_in_window != 0) repeat_tick();
  errno = saved;
}

void on_tick(int) {}

struct sigaction handler(void (*function)(int)) {
  struct sigaction action {};
  action.sa_handler = function;  // without SA_RESTART: the call is to end
  sigemptyset(&action.sa_mask);
  return action;
}

bool is_default(const struct sigaction& action) {
  return action.sa_handler == SIG_DFL;
}

}  // namespace

Interrupts* Interrupts::current() noexcept {
  return g_alive;
}

Interrupts::Interrupts() {
  assert(g_alive == nullptr);
  g_alive = this;
  g_caught = 0;
  g_stops = 0;
  for (volatile sig_atomic_t& seen : g_seen) seen = 0;

  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH,
                           SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, kPokeSignal}) {
    sigaddset(&blocked, signal);
  }
  sigprocmask(SIG_BLOCK, &blocked, &given_mask_);
  const bool quick = std::exchange(quick::handover.signals_blocked, false);
  if (quick) take_over_given_mask();

  // Later only these are opened again, one by one, instead of setting the given mask as a whole:
  // the C library's SIG_SETMASK opens its own two signals (32, 33) if they were given blocked.
  sigemptyset(&added_);
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    if (sigismember(&blocked, signal) == 1 && sigismember(&given_mask_, signal) == 0) {
      sigaddset(&added_, signal);
    }
  }

  if (quick) {
    // Set already; to set it again would drop the signal of a command that has ended meanwhile.
    given_child_ = handler(quick::handover.child_was_ignored ? SIG_IGN : SIG_DFL);
  } else {
    const struct sigaction action = handler(SIG_DFL);
    sigaction(SIGCHLD, &action, &given_child_);
  }
}

// The quick start has blocked the signals already; it kept the mask from before.
void Interrupts::take_over_given_mask() noexcept {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const bool given = (quick::handover.given_mask >> static_cast<unsigned>(signal - 1) & 1U) != 0;
    if (!given) sigdelset(&given_mask_, signal);
  }
}

Interrupts::~Interrupts() {
  restore_dispositions();
  if (installed_) timer_delete(g_timer);

  // What came too late for COMMAND must not end or stop cachify now. A stop before any command
  // ran stays: it ends us as the mask is put back.
  sigset_t late = added_;
  if (!command_ended_) {
    for (const int signal : kStops) sigdelset(&late, signal);
  }
  if (installed_) sigaddset(&late, tick_signal());
  const timespec at_once{};
  while (sigtimedwait(&late, nullptr, &at_once) > 0) {
  }
  sigprocmask(SIG_UNBLOCK, &added_, nullptr);
  g_alive = nullptr;
}

// A signal that was given ignored stays pending as long as it is blocked; it means nothing.
bool Interrupts::interrupts_us(int signal) const noexcept {
  if (sigismember(&given_mask_, signal) == 1) return false;
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler != SIG_IGN;
}

std::optional<int> Interrupts::caught() const noexcept {
  if (g_caught != 0) return static_cast<int>(g_caught);
  sigset_t pending;
  sigpending(&pending);
  for (const int signal : kStops) {
    if (sigismember(&pending, signal) == 1 && interrupts_us(signal)) return signal;
  }
  return std::nullopt;
}

void Interrupts::also_wake_on(std::initializer_list<int> signals) {
  assert(!installed_);
  for (const int signal : signals) {
    struct sigaction given {};
    sigaction(signal, nullptr, &given);
    if (signal == SIGCHLD) given = given_child_;
    if (given.sa_handler == SIG_IGN && signal != SIGCHLD) continue;
    block(signal);
    extras_.push_back({signal, given});
  }
}

void Interrupts::keep_out_sigpipe() noexcept {
  assert(!installed_);
  sigpipe_kept_out_ = true;
  block(SIGPIPE);
}

void Interrupts::block(int signal) noexcept {
  if (sigismember(&given_mask_, signal) == 1) return;
  sigaddset(&added_, signal);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  sigprocmask(SIG_BLOCK, &only, nullptr);
}

bool Interrupts::take(int signal) noexcept {
  const bool seen = g_seen[signal] != 0;
  g_seen[signal] = 0;
  return seen;
}

void Interrupts::stop_self(int signal) noexcept {
  struct sigaction before {};
  const struct sigaction stop = handler(SIG_DFL);
  sigaction(signal, &stop, &before);
  raise(signal);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);  // here, until continued
  sigprocmask(SIG_BLOCK, &only, nullptr);
  sigaction(signal, &before, nullptr);
}

bool Interrupts::any_to_take() noexcept {
  return std::any_of(std::begin(g_seen), std::end(g_seen),
                     [](sig_atomic_t seen) { return seen != 0; });
}

int Interrupts::stops() noexcept {
  return static_cast<int>(g_stops);
}

bool Interrupts::Window::woken() noexcept {
  return g_woken != 0 || g_caught != 0;
}

void Interrupts::install() {
  if (installed_) return;

  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = tick_signal();
  if (timer_create(CLOCK_MONOTONIC, &event, &g_timer) != 0) {
    throw OsError("cannot make a timer", errno);
  }
  installed_ = true;

  make_wait_mask();
  closed_ = added_;
  for (const int signal : {tick_signal(), kPokeSignal}) {
    if (sigismember(&given_mask_, signal) == 1) sigaddset(&closed_, signal);
  }

  const struct sigaction tick = handler(on_tick);
  sigaction(tick_signal(), &tick, &given_tick_);
  const struct sigaction wake = handler(on_wake);
  sigaction(kPokeSignal, &wake, &given_poke_);
  for (const Extra& extra : extras_) {
    sigaction(extra.signal, &wake, nullptr);
    if (sigismember(&given_mask_, extra.signal) == 1) sigaddset(&closed_, extra.signal);
  }
  const struct sigaction stop = handler(on_stop);
  for (size_t i = 0; i < kStops.size(); ++i) {
    if (!interrupts_us(kStops[i])) continue;
    sigaction(kStops[i], &stop, nullptr);
    handled_[i] = true;
  }
}

void Interrupts::make_wait_mask() noexcept {
  wait_mask_ = given_mask_;
  const bool closed = command_ended_ || held_;
  for (int signal = 1; closed && signal < SIGRTMIN; ++signal) {
    if (sigismember(&added_, signal) == 1) sigaddset(&wait_mask_, signal);
  }
  // What a failed write has left pending would end us in the next wait.
  if (sigpipe_kept_out_) sigaddset(&wait_mask_, SIGPIPE);
  sigdelset(&wait_mask_, tick_signal());
  if (!held_) {
    sigdelset(&wait_mask_, kPokeSignal);
    for (const Extra& extra : extras_) sigdelset(&wait_mask_, extra.signal);
  }
}

void Interrupts::hold(bool on) noexcept {
  held_ = on;
  make_wait_mask();
}

void Interrupts::command_ended() noexcept {
  command_ended_ = true;
  make_wait_mask();
}

const sigset_t& Interrupts::wait_mask() {
  install();
  return wait_mask_;
}

void Interrupts::restore_dispositions() const noexcept {
  if (!is_default(given_child_)) sigaction(SIGCHLD, &given_child_, nullptr);
  if (!installed_) return;
  sigaction(tick_signal(), &given_tick_, nullptr);
  sigaction(kPokeSignal, &given_poke_, nullptr);
  for (const Extra& extra : extras_) sigaction(extra.signal, &extra.given, nullptr);
  // No handler survives an exec, and ignored ones were left alone: they had their defaults.
  const struct sigaction action = handler(SIG_DFL);
  for (size_t i = 0; i < kStops.size(); ++i) {
    if (handled_[i]) sigaction(kStops[i], &action, nullptr);
  }
}

void Interrupts::restore_in_child() const noexcept {
  restore_dispositions();  // first: a handler must not run in the memory we share with the parent
  sigprocmask(SIG_UNBLOCK, &added_, nullptr);
}

Interrupts::Window::Window(Interrupts& interrupts, std::optional<util::MonotonicTime> until)
    : interrupts_(interrupts), timed_(until.has_value()) {
  interrupts.install();
  assert(g_in_window == 0);
  g_in_window = 1;
  g_woken = 0;
  if (g_caught != 0) {
    repeat_tick();
  } else if (until) {
    const int64_t at = until->ns > 0 ? until->ns : 1;  // 0 would disarm
    const itimerspec when{{0, kRepeatNs}, {at / kSecond, at % kSecond}};
    timer_settime(g_timer, TIMER_ABSTIME, &when, nullptr);
  }
  sigprocmask(SIG_SETMASK, &interrupts.wait_mask_, nullptr);
}

Interrupts::Window::~Window() {
  sigprocmask(SIG_BLOCK, &interrupts_.closed_, nullptr);
  g_in_window = 0;
  if (timed_ || g_caught != 0 || g_woken != 0) stop_tick();
}

}  // namespace cachify::run

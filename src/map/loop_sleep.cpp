// What wakes us.
#include <sys/timerfd.h>

#include <algorithm>

#include "exit_codes.h"
#include "map/loop.h"
#include "map/sleep.h"

namespace cachify::map {

namespace {

using run::Interrupts;
using util::MonotonicTime;

}  // namespace

int wait_for(std::vector<pollfd>& fds, std::optional<MonotonicTime> until, const sigset_t& mask) {
  timespec timeout{};
  if (until) {
    const int64_t ns = std::max<int64_t>((*until - util::monotonic_now()).count(), 0);
    timeout = {ns / 1'000'000'000, ns % 1'000'000'000};
  }
  return ::ppoll(fds.data(), fds.size(), until ? &timeout : nullptr, &mask);
}

std::optional<MonotonicTime> Loop::next_deed() const {
  Earliest earliest;
  earliest.add(runs_.next_kill());
  earliest.add(total_end_);
  earliest.add(progress_.next_update());
  if (record_) earliest.add(record_->next_update());
  earliest.add(not_before_);
  if (request_.idle_timeout && idle_since_) earliest.add(*idle_since_ + *request_.idle_timeout);
  if (phase_ != Phase::working) return earliest.get();
  if (slots_.held() > reserve() && !feed_.pending()) {
    for (const auto& slot : slots_.all()) {
      if (!slot->busy) earliest.add(slot->idle_since + kLinger);
    }
  }
  return earliest.get();
}

// A signal that came in some other wait (for a mutex, for a reader of our output) ends no more.
bool Loop::has_news() const {
  return Interrupts::any_to_take() || Interrupts::stops() > stops_;
}

void Loop::sleep() {
  if (has_news()) return;
  // Items wait, and no slot more is to be had, as far as we know; or slots wait that may have
  // become too many.
  const bool listens =
      phase_ == Phase::working && slots_.held() > 0 && (feed_.pending() || request_.reserve > 0);
  if (listens && slots_.hear()) {
    if (slots_.has_room()) not_before_.reset();
    return;
  }
  Earliest earliest;
  earliest.add(next_deed());
  earliest.add(slots_.next_tick());
  std::vector<pollfd> fds;
  slots_.add_descriptors(fds);
  if (listens) {
    earliest.add(slots_.next_hear());
    if (slots_.news_fd() >= 0) fds.push_back({slots_.news_fd(), POLLIN, 0});
  }
  const int input = phase_ == Phase::working ? feed_.wants() : -1;
  if (input >= 0) fds.push_back({input, POLLIN, 0});
  if (const auto next = slots_.next_tick()) {
    // The same end by the clock that goes on while the machine sleeps.
    if (!lease_timer_)
      lease_timer_.reset(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    const int64_t ns =
        std::max<int64_t>(util::boottime_ns() + (*next - util::monotonic_now()).count(), 1);
    const itimerspec when{{0, 0}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    ::timerfd_settime(lease_timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    fds.push_back({lease_timer_.get(), POLLIN, 0});
  }
  wait_for(fds, earliest.get(), interrupts_.wait_mask());
}

// Nobody reads our output now. Nothing is started and no output is handed over until somebody does;
// all else goes on. False: stop waiting for that.
bool Loop::wait_writable(int fd) {
  for (;;) {
    tend();
    show();
    if (phase_ == Phase::ending && runs_.running().empty()) return false;
    if (stops_ > 1 || (code_ == kExitTimeout && phase_ == Phase::ending)) return false;
    Earliest earliest;
    earliest.add(runs_.next_kill());
    earliest.add(total_end_);
    earliest.add(slots_.next_tick());
    if (record_) earliest.add(record_->next_update());
    std::vector<pollfd> fds{{fd, POLLOUT, 0}};
    slots_.add_descriptors(fds);
    if (wait_for(fds, earliest.get(), interrupts_.wait_mask()) > 0 && fds.front().revents != 0) {
      return true;
    }
  }
}

}  // namespace cachify::map

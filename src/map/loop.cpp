#include "map/loop.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <exception>

#include "errors.h"
#include "exit_codes.h"
#include "map/sleep.h"
#include "run/deadline.h"
#include "run/explain.h"
#include "util/log.h"

namespace cachify::map {

namespace {

using run::Ending;

}  // namespace

Loop::Loop(store::Store& store, const Request& request)
    : WaitExplainer(request.claim),
      store_(store),
      request_(request),
      joblog_(request.joblog ? Joblog(*request.joblog, request.resume) : Joblog()),
      output_(request.keep_order, request.tag,
              {[this](int fd) { return wait_writable(fd); },
               [this](const std::string& line) { joblog_.append(line); },
               [this] { progress_.hide(); }}),
      feed_(request, {[this](uint64_t number) { return joblog_.is_done(number); },
                      [this](uint64_t number) { output_.skip(number); }}),
      slots_(store, request.claim),
      runs_(request, interrupts_),
      progress_(request.progress ? Progress::Wish::always : Progress::Wish::by_default) {
  interrupts_.also_wake_on({SIGCHLD, SIGUSR1, SIGUSR2, SIGTSTP});
  interrupts_.keep_out_sigpipe();
  if (request.results) results_.emplace(*request.results);
  record_ = store.show_map(request.claim.key, request.claim.who);
  slots_.listen_to(record_.get());
  if (request.total_timeout) total_end_ = run::deadline_after(*request.total_timeout);
}

Ending Loop::run() {
  try {
    if (begin()) loop();
  } catch (...) {
    failed(std::current_exception());
    loop();
  }
  try {
    output_.finish();
  } catch (...) {
    failed(std::current_exception());
  }
  progress_.finish(counts());
  if (error_) std::rethrow_exception(error_);
  return ending();
}

// False: a signal or the end of all time came before the first item.
bool Loop::begin() {
  if (!request_.strict) return true;
  const bool read = feed_.rehearse([this](int fd) {
    heed_signals();
    heed_clocks();
    if (phase_ != Phase::working) return false;
    std::vector<pollfd> fds{{fd, POLLIN, 0}};
    wait_for(fds, total_end_, interrupts_.wait_mask());
    heed_signals();
    heed_clocks();
    return phase_ == Phase::working;
  });
  if (!read) stop(Phase::draining);
  return read;
}

void Loop::loop() {
  for (;;) {
    try {
      step();
      drop_slots();
      leaves_queue_ = false;
      if (done()) return;
      if (wants_slot()) {
        take_slot();
      } else if (ended_.empty()) {
        sleep();
      }
    } catch (...) {
      failed(std::current_exception());
    }
  }
}

bool Loop::done() const {
  return runs_.running().empty() && ended_.empty() &&
         (phase_ != Phase::working || feed_.finished());
}

// All that can be done at once, in the order in which others wait for it: runs that have ended make
// room for the next ones, and only then their output is handed over.
void Loop::step() {
  tend();
  reap();
  read_input();
  start_runs();
  std::vector<Run> ended;
  std::swap(ended, ended_);
  for (Run& run : ended) {
    try {
      deliver(run);
    } catch (...) {
      failed(std::current_exception());
    }
  }
  if (output_.reader_gone() && !code_ && phase_ != Phase::ending) {
    // As if we had died of it, but tidily.
    signal_ = signal_.value_or(SIGPIPE);
    stop(Phase::ending);
  }
  if (progress_.shown()) progress_.update(counts());
  show();
}

void Loop::show() {
  if (!record_) return;
  store::MapFigures figures;
  figures.queued = static_cast<int64_t>(feed_.pending_count());
  figures.running = static_cast<int64_t>(runs_.running().size());
  figures.done = done_;
  figures.failed = failed_;
  figures.idle = std::count_if(slots_.all().begin(), slots_.all().end(),
                               [](const auto& slot) { return !slot->busy; });
  record_->update(figures);
}

void Loop::read_input() {
  // A regular file or a burst of lines: as much as is wanted, but with a look at the rest
  // meanwhile.
  const int fd = phase_ == Phase::working ? feed_.wants() : -1;
  if (fd < 0) {
    idle_since_.reset();
    return;
  }
  if (!idle_since_) idle_since_ = util::monotonic_now();
  pollfd readable{fd, POLLIN, 0};
  if (::poll(&readable, 1, 0) <= 0) {
    if (!request_.idle_timeout) return;
    if (util::monotonic_now() < *idle_since_ + *request_.idle_timeout) return;
    idle_since_.reset();
    feed_.stop_reading();
    util::explain(request_.claim.key + ": no item came within " +
                  run::span_text(*request_.idle_timeout));
    return;
  }
  const size_t before = feed_.pending_count();
  feed_.read();
  if (feed_.pending_count() > before) idle_since_.reset();
}

void Loop::stop(Phase phase) {
  if (phase <= phase_) return;
  phase_ = phase;
  feed_.stop();
  if (phase == Phase::ending) runs_.end_all(request_.kill_after);
}

void Loop::stop_with(int code, const std::string& text) {
  if (phase_ != Phase::working) return;
  say(text);
  code_ = code;
  stop(Phase::draining);
}

void Loop::failed(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
  stop(Phase::ending);
}

void Loop::say(const std::string& text) {
  progress_.hide();
  util::message(text);
}

Counts Loop::counts() const {
  Counts counts;
  counts.done = done_;
  counts.failed = failed_;
  counts.running = static_cast<int64_t>(runs_.running().size());
  counts.total = feed_.total();
  if (counts.total) *counts.total -= static_cast<int64_t>(feed_.skipped());
  counts.estimated = feed_.total_is_a_guess();
  return counts;
}

Ending Loop::ending() const {
  if (signal_) return {kExitSignalBase + *signal_, signal_};
  if (code_) return {*code_, std::nullopt};
  return {failed_ > 0 ? kExitSomeFailed : kExitOk, std::nullopt};
}

}  // namespace cachify::map

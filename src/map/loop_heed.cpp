// What comes from outside: signals, leases, clocks.
#include <csignal>

#include "exit_codes.h"
#include "map/loop.h"
#include "run/explain.h"
#include "util/log.h"

namespace cachify::map {

namespace {

using run::Interrupts;
using util::MonotonicTime;

}  // namespace

// What cannot wait, also while nobody reads our output.
void Loop::tend() {
  heed_signals();
  heed_leases();
  heed_clocks();
  runs_.kill_overdue();
}

void Loop::heed_signals() {
  const int stops = Interrupts::stops();
  if (stops > stops_) {
    if (!signal_) signal_ = interrupts_.caught();
    stop(stops == 1 ? Phase::draining : Phase::ending);
    if (stops_ == 0 && stops == 1 && !runs_.running().empty()) {
      say("stopping: no more items are started; a second signal ends the running ones");
    }
    stops_ = stops;
  }
  for (const int signal : {SIGUSR1, SIGUSR2}) {
    if (Interrupts::take(signal)) runs_.send_all(signal);
  }
  if (Interrupts::take(SIGTSTP)) suspend();
}

// ^Z: the runs do not get it from the terminal, being in groups of their own.
void Loop::suspend() {
  progress_.hide();
  runs_.send_all(SIGTSTP);
  interrupts_.stop_self(SIGTSTP);
  runs_.send_all(SIGCONT);
}

void Loop::heed_leases() {
  const bool poked = Interrupts::take(run::kPokeSignal);
  if (poked) slots_.poked();
  for (const Slots::Change& change : slots_.tick(poked)) {
    Run* const run = runs_.in(*change.slot);
    if (run == nullptr) continue;
    const std::string what =
        request_.claim.key + ": item " + std::to_string(run->item.number) + ": the ";
    using State = store::Lease::State;
    if (change.state == State::taken) {
      say(what + "slot was taken away; ending the command");
      run->taken = true;
      runs_.end(*run, change.slot->lease->kill_after().value_or(request_.kill_after), SIGTERM);
    } else if (change.state == State::released) {
      util::explain(what + "slot was given back by somebody; the command goes on without it");
    } else if (request_.on_lost == run::OnLost::warn) {
      progress_.hide();
      util::error(what + "lease was lost; the command goes on without it");
    } else {
      progress_.hide();
      util::error(what + "lease was lost; ending the command");
      run->taken = true;
      const bool kill = request_.on_lost == run::OnLost::kill;
      runs_.end(*run, request_.kill_after, kill ? SIGKILL : SIGTERM);
    }
  }
}

void Loop::heed_clocks() {
  const MonotonicTime now = util::monotonic_now();
  if (total_end_ && now >= *total_end_) {
    total_end_.reset();
    stop_with(kExitTimeout,
              request_.claim.key + ": not done within " + run::span_text(*request_.total_timeout));
    stop(Phase::ending);
  }
}

}  // namespace cachify::map

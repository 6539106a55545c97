// Runs: started in a slot, reaped, judged, handed over.
#include <algorithm>
#include <cerrno>
#include <csignal>

#include "errors.h"
#include "exit_codes.h"
#include "map/loop.h"
#include "run/program.h"
#include "util/log.h"

namespace cachify::map {

namespace {

using run::Interrupts;

// The code in the log of an item that could not be run at all.
constexpr int kCodeNotRun = kExitNotExecutable;

}  // namespace

void Loop::start_runs() {
  while (phase_ == Phase::working && !crowded_out_ && feed_.pending()) {
    Slot* slot = slots_.idle();
    while (slot != nullptr && drops(*slot)) {
      leaves_queue_ = true;
      slot->spent = slot->gives_way = true;
      slot = slots_.idle();
    }
    if (slot == nullptr || !start(feed_.take(), *slot)) return;
  }
}

// False: nothing more is to be started now.
bool Loop::start(Item item, Slot& slot) {
  // A signal that has come meanwhile, blocked: nothing is started after it.
  if (interrupts_.caught()) {
    feed_.put_back(std::move(item));
    return false;
  }
  Run run;
  run.item = std::move(item);
  run.slot = &slot;
  try {
    const auto refusal = runs_.start(run, feed_);
    if (!refusal) {
      if (!slot.used) slot.lease->command_started();
      slot.used = slot.busy = true;
      runs_.add(std::move(run));
      return true;
    }
    const int code = run::exec_failure_code(refusal->error);
    const std::string text = run::exec_failure_text(refusal->command, refusal->error);
    if (refusal->error == E2BIG) {
      fail_alone(run.item, "is too long to execute", kCodeNotRun);
    } else if (feed_.command().program_varies()) {
      fail_alone(run.item, text, code);
    } else {
      progress_.hide();
      util::error(text);
      code_ = code;
      stop(Phase::draining);
      return false;
    }
  } catch (const Unreadable& problem) {
    fail_alone(run.item, problem.what(), kCodeNotRun);
  } catch (const OsError&) {
    // Of processes and descriptors there are more when a run has ended.
    if (runs_.running().empty()) throw;
    crowded_out_ = true;
    feed_.put_back(std::move(run.item));
    return false;
  }
  return true;
}

void Loop::fail_alone(const Item& item, const std::string& why, int code) {
  progress_.hide();
  util::error("item " + std::to_string(item.number) + (why.starts_with("cannot") ? ": " : " ") +
              why);
  ++failed_;
  ++done_;
  LogEntry entry;
  entry.number = item.number;
  entry.started_us = util::realtime_us();
  entry.code = code;
  entry.command = item.too_long ? "" : shell_quoted(item.text.substr(0, 4096));
  conclude(item, {}, {}, entry, code);
  if (request_.halt != Halt::never) {
    stop(request_.halt == Halt::now ? Phase::ending : Phase::draining);
  }
}

void Loop::reap() {
  Interrupts::take(SIGCHLD);
  for (Run& run : runs_.reap()) {
    run.slot->busy = false;
    run.slot->idle_since = util::monotonic_now();
    if (request_.claim.expiry) run.slot->spent = true;
    run.slot = nullptr;
    crowded_out_ = false;
    settle(run);
    ended_.push_back(std::move(run));
  }
}

// Decides what follows from the end of a run, before anything else is started.
void Loop::settle(Run& run) {
  if (!run.failed()) return;
  if (phase_ == Phase::working && run.item.tries < request_.retries) {
    util::explain("item " + std::to_string(run.item.number) + " failed; trying again");
    ++run.item.tries;
    feed_.again(run.item);
    run.item.number = 0;  // nothing to deliver
    return;
  }
  ++failed_;
  if (request_.halt != Halt::never) {
    stop(request_.halt == Halt::now ? Phase::ending : Phase::draining);
  }
}

void Loop::deliver(Run& run) {
  if (run.item.number == 0) return;
  ++done_;
  LogEntry entry;
  entry.number = run.item.number;
  entry.started_us = run.started_us;
  entry.runtime_us = (run.ended - run.started).count() / 1000;
  entry.received = spool_size(run.out.get());
  entry.code = run.taken ? kExitLost : run.code;
  entry.signal = run.signal;
  entry.command = std::move(run.command);
  const int code = run.signal != 0 ? kExitSignalBase + run.signal : run.code;
  if (run.failed()) {
    util::explain("item " + std::to_string(run.item.number) + " failed with exit code " +
                  std::to_string(code));
  }
  // One that was ended because all was is not done: resumed, it is run again.
  entry.interrupted = run.failed() && !run.taken && run.kill_at.has_value();
  conclude(run.item, std::move(run.out), std::move(run.err), entry, run.taken ? kExitLost : code);
}

void Loop::conclude(const Item& item, util::UniqueFd out, util::UniqueFd err, const LogEntry& entry,
                    int code) {
  if (results_) {
    results_->write(item.number, "item", item.text);
    results_->write(item.number, "exit", std::to_string(code));
  }
  Result result;
  result.number = item.number;
  if (request_.tag) result.tag = item.text + '\t';
  result.out = std::move(out);
  result.err = std::move(err);
  if (request_.joblog && !entry.interrupted) result.log = log_line(entry);
  output_.hand_over(std::move(result));
}

}  // namespace cachify::map

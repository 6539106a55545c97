#include "run/run.h"

#include <array>
#include <cstdio>

#include "errors.h"
#include "exit_codes.h"
#include "quick/handover.h"
#include "run/child.h"
#include "run/deadline.h"
#include "run/explain.h"
#include "run/interrupts.h"
#include "run/job_control.h"
#include "run/program.h"
#include "run/supervise.h"
#include "util/log.h"

namespace cachify::run {
namespace {

using store::Outcome;

Ending stopped_by(int signal) {
  return {kExitSignalBase + signal, signal};
}

// Gives the slot back at the end of its scope, however that is left. A store that cannot be told
// then changes nothing about COMMAND's code; the slot ends by the store's crash rules.
class Holding {
 public:
  explicit Holding(std::unique_ptr<store::Lease> lease) : lease_(std::move(lease)) {}
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() {
    try {
      lease_->release();
    } catch (const std::exception& error) {
      util::error(error.what());
    }
  }
  store::Lease& lease() const noexcept { return *lease_; }

 private:
  std::unique_ptr<store::Lease> lease_;
};

// Gives back what prepare() has made ready, before the slot itself.
class Escorting {
 public:
  explicit Escorting(Escort* escort) : escort_(escort) {}
  Escorting(const Escorting&) = delete;
  Escorting& operator=(const Escorting&) = delete;
  ~Escorting() {
    if (escort_ != nullptr) escort_->give_back();
  }

 private:
  Escort* escort_;
};

std::string seconds_text(util::Duration waited) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  const std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  return std::to_string(ms / 1000) + "." + fraction;
}

std::vector<std::string> variables_for(const Request& request, const store::Grant& grant,
                                       util::Duration waited) {
  return {"CACHIFY_KEY=" + request.claim.key,
          "CACHIFY_MAX=" + std::to_string(grant.max),
          "CACHIFY_SLOT=" + std::to_string(grant.slot),
          "CACHIFY_ID=" + grant.id,
          "CACHIFY_FENCE=" + std::to_string(grant.fence),
          "CACHIFY_WAITED=" + seconds_text(waited)};
}

// A lease without a descriptor that COMMAND could keep ends soon after cachify was killed. COMMAND
// is then ended as --on-lost says for any lost lease.
int death_signal(const store::Lease& lease, OnLost on_lost) {
  if (lease.keep_fd() >= 0 || on_lost == OnLost::warn) return 0;
  return on_lost == OnLost::kill ? SIGKILL : SIGTERM;
}

// The uncontended path is part of every start of cachify, so it is kept to eleven system calls
// besides the store's: rt_sigprocmask, rt_sigaction (Interrupts); signalfd4; rt_sigpending; clone;
// ppoll, read, waitid (Supervisor); close; rt_sigtimedwait, rt_sigprocmask (~Interrupts). The child
// makes fcntl (to keep the slot), rt_sigprocmask and execve.
Ending run_command(const Request& request, store::Acquisition acquisition, Interrupts& interrupts) {
  const util::Duration waited = acquisition.waited;
  const Holding holding(std::move(acquisition.lease));
  store::Lease& lease = holding.lease();
  const Escorting escorting(request.escort);

  std::vector<std::string> variables = variables_for(request, lease.grant(), waited);
  if (request.escort != nullptr) {
    const auto more = request.escort->prepare(lease, interrupts);
    if (!more) return stopped_by(interrupts.caught().value_or(SIGTERM));
    variables.insert(variables.end(), more->begin(), more->end());
  }
  const Program program(request.command, std::move(variables));
  JobControl jobs(request.own_group);
  Supervisor supervisor(lease, request, jobs);
  ChildSetup setup;
  setup.keep_fd = request.claim.inherit ? lease.keep_fd() : -1;
  setup.own_group = request.own_group;
  setup.terminal = jobs.terminal_for_command();
  setup.death_signal = death_signal(lease, request.on_lost);

  // The last moment at which a signal can keep COMMAND from starting; from here on it is blocked
  // until it is passed on to COMMAND.
  // (The quick start has looked for itself, if it has started COMMAND.)
  const auto signal = interrupts.caught();
  if (signal && !quick::handover.started) return stopped_by(*signal);
  const Started started = start_child(program, setup, interrupts);
  if (started.error != 0) {
    if (setup.terminal >= 0) jobs.failed_to_start();
    util::error(exec_failure_text(request.command.front(), started.error));
    return {exec_failure_code(started.error), std::nullopt};
  }
  lease.command_started();
  const Ending ending = supervisor.watch(started.pid);
  // Until an escort has done, a signal still means something.
  if (request.escort == nullptr) interrupts.command_ended();
  return ending;
}

// Ends in `on_full` in place of this process. The destructors of who called us do not run, and need
// not: nothing is held, and what is open closes with the exec.
int become_on_full(const Request& request) {
  std::vector<std::string> argv{"sh", "-c", *request.on_full + " \"$@\"", *request.on_full};
  argv.insert(argv.end(), request.command.begin(), request.command.end());
  const int error = Program(argv).execute();
  util::error(exec_failure_text(argv.front(), error));
  return exec_failure_code(error);
}

void explain_refusal(store::Store& store, const store::Claim& claim) {
  if (util::verbosity() != util::Verbosity::verbose) return;
  try {
    const store::Situation situation = store.situation(claim.kind, claim.key);
    util::explain(claim.key + ": " + situation_text(situation, 0, util::realtime_us()));
  } catch (const Error& error) {
    util::explain(error.what());  // the refusal stands, whoever holds it
  }
}

Ending refuse(store::Store& store, const Request& request, const store::Acquisition& acquisition) {
  const std::string text = refusal_text(request, acquisition);
  if (request.on_full) {
    util::explain(text);  // who names a command to run instead does not want to hear of it
  } else {
    util::message(text);
  }
  explain_refusal(store, request.claim);
  const int code = acquisition.outcome == Outcome::timed_out ? kExitTimeout : kExitFull;
  return {request.conflict_exit_code.value_or(code), std::nullopt};
}

store::Patience patience_of(const Request& request) {
  store::Patience patience;
  patience.wait = request.wait;
  if (request.wait && request.timeout) {
    patience.deadline = deadline_after(*request.timeout);
    if (request.timeout->count() <= 0) patience = {};  // the same as not waiting
  }
  return patience;
}

}  // namespace

Ending run(store::Store& store, const Request& request) {
  Ending ending;
  {
    Interrupts interrupts;
    WaitExplainer explainer(request.claim);
    store::Acquisition acquisition =
        store.acquire(request.claim, patience_of(request), interrupts, explainer);
    if (acquisition.outcome == Outcome::admitted) {
      const Ending end = run_command(request, std::move(acquisition), interrupts);
      if (request.escort != nullptr) {
        request.escort->finish();
        interrupts.command_ended();
      }
      return end;
    }
    if (const auto signal = interrupts.caught()) return stopped_by(*signal);
    if (acquisition.outcome == Outcome::interrupted) {
      throw Error(kExitInternal, "the wait for " + request.claim.key + " ended without a signal");
    }
    ending = refuse(store, request, acquisition);
  }
  if (request.on_full) ending.code = become_on_full(request);
  return ending;
}

}  // namespace cachify::run

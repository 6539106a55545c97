#include "run/run.h"

#include "quick/handover.h"
#include "run/admit.h"
#include "run/child.h"
#include "run/explain.h"
#include "run/in_slot.h"
#include "run/interrupts.h"
#include "run/job_control.h"
#include "run/program.h"
#include "run/supervise.h"
#include "util/log.h"
#include "util/time_text.h"

namespace cachify::run {
namespace {

// Gives the slot back at the end of its scope, however that is left.
class Holding {
 public:
  explicit Holding(std::unique_ptr<store::Lease> lease) : lease_(std::move(lease)) {}
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { give_back(*lease_); }
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

// The open files that keep the slot; each lock of several has its own.
std::vector<int> keep_fds_of(const store::Lease& lease) {
  if (lease.parts().empty()) {
    const int fd = lease.keep_fd();
    return fd < 0 ? std::vector<int>() : std::vector<int>{fd};
  }
  std::vector<int> fds;
  for (const auto& part : lease.parts()) {
    if (part->keep_fd() >= 0) fds.push_back(part->keep_fd());
  }
  return fds;
}

// The uncontended path is part of every start of cachify, so it is kept to eleven system calls
// besides the store's: rt_sigprocmask, rt_sigaction (Interrupts); signalfd4; rt_sigpending; clone;
// ppoll, read, waitid (Supervisor); close; rt_sigtimedwait, rt_sigprocmask (~Interrupts). The child
// makes fcntl (to keep the slot), rt_sigprocmask and execve.
Ending run_command(const Request& request, Admittance admitted, Interrupts& interrupts) {
  const Holding holding(std::move(admitted.lease));
  store::Lease& lease = holding.lease();
  const Escorting escorting(request.escort);

  std::vector<std::string> variables =
      slot_variables(request.claim.key, request.keys, lease, admitted.waited);
  if (request.escort != nullptr) {
    const auto more = request.escort->prepare(lease, interrupts);
    if (!more) return stopped_by(interrupts.caught().value_or(SIGTERM));
    variables.insert(variables.end(), more->begin(), more->end());
  }
  const Program program(request.command, std::move(variables));
  JobControl jobs(request.own_group);
  Supervisor supervisor(lease, request, jobs);
  ChildSetup setup;
  const std::vector<int> keep_fds = keep_fds_of(lease);
  if (request.claim.inherit) setup.keep_fds = keep_fds;
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

}  // namespace

Ending run(store::Store& store, const Request& request) {
  Ending ending;
  {
    Interrupts interrupts;
    Admittance admitted = admit(store, request, interrupts);
    if (admitted.lease) {
      ending = run_command(request, std::move(admitted), interrupts);
      if (request.escort != nullptr) {
        request.escort->finish();
        interrupts.command_ended();
      }
      return ending;
    }
    if (!admitted.refused || !request.on_full) return admitted.ending;
  }
  ending.code = become_on_full(request);
  return ending;
}

}  // namespace cachify::run

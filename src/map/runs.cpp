#include "map/runs.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "errors.h"
#include "run/child.h"
#include "run/deadline.h"
#include "run/in_slot.h"
#include "run/program.h"
#include "util/files.h"

namespace cachify::map {

Runs::Runs(const Request& request, run::Interrupts& interrupts)
    : request_(request),
      interrupts_(interrupts),
      null_(util::open_above_stdio(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC)) {
  if (!null_) throw OsError("cannot open /dev/null", errno);
  if (request.results) results_.emplace(*request.results);
}

std::optional<Runs::Refusal> Runs::start(Run& run, const Feed& feed) {
  const Row row = feed.row_of(run.item);
  const store::Lease& lease = *run.slot->lease;
  const std::vector<std::string> argv =
      feed.command().fill(run.item.text, run.item.number, lease.grant().slot, row);
  if (results_) {
    run.out = results_->open(run.item.number, "stdout");
    run.err = results_->open(run.item.number, "stderr");
  } else {
    run.out = make_spool();
    run.err = make_spool();
  }
  // Who comes after the first one in a slot has not waited for it.
  const util::Duration waited = run.slot->used ? util::Duration::zero() : run.slot->waited;
  const run::Program program(argv, run::slot_variables(request_.claim.key, {}, lease, waited));
  run::ChildSetup setup;
  const int keep_fd = lease.keep_fd();
  if (request_.claim.inherit && keep_fd >= 0) setup.keep_fds = {&keep_fd, 1};
  setup.own_group = true;
  setup.streams = {null_.get(), run.out.get(), run.err.get()};
  setup.death_signal = run::death_signal(lease, request_.on_lost);
  if (request_.joblog) run.command = shell_quoted(argv);
  run.started_us = util::realtime_us();
  run.started = util::monotonic_now();
  const run::Started started = run::start_child(program, setup, interrupts_);
  if (started.error != 0) return Refusal{started.error, argv.front()};
  run.pid = started.pid;
  return std::nullopt;
}

std::vector<Run> Runs::reap() {
  std::vector<Run> ended;
  while (!running_.empty()) {
    siginfo_t info{};
    // Any child: some may be of before our exec, and are nobody else's to reap.
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) break;
    const auto found = std::find_if(running_.begin(), running_.end(),
                                    [&info](const Run& run) { return run.pid == info.si_pid; });
    if (found == running_.end()) continue;
    Run run = std::move(*found);
    running_.erase(found);
    run.ended = util::monotonic_now();
    if (info.si_code == CLD_EXITED) {
      run.code = info.si_status;
    } else {
      run.signal = info.si_status;
    }
    ended.push_back(std::move(run));
  }
  return ended;
}

Run* Runs::in(const Slot& slot) {
  const auto found = std::find_if(running_.begin(), running_.end(),
                                  [&slot](const Run& run) { return run.slot == &slot; });
  return found == running_.end() ? nullptr : &*found;
}

// They are reaped by reap() alone, so the numbers are still their own here.
void Runs::send_all(int signal) const {
  for (const Run& run : running_) ::kill(-run.pid, signal);
}

void Runs::end(Run& run, util::Duration kill_after, int signal) {
  if (run.kill_at) return;
  ::kill(-run.pid, signal);
  ::kill(-run.pid, SIGCONT);  // a stopped one could not act on it
  run.kill_at = run::deadline_after(kill_after);
}

void Runs::end_all(util::Duration kill_after) {
  for (Run& run : running_) end(run, kill_after, SIGTERM);
}

void Runs::kill_overdue() {
  const util::MonotonicTime now = util::monotonic_now();
  for (Run& run : running_) {
    if (!run.kill_at || now < *run.kill_at) continue;
    ::kill(-run.pid, SIGKILL);
    run.kill_at = now + std::chrono::seconds(1);
  }
}

std::optional<util::MonotonicTime> Runs::next_kill() const {
  std::optional<util::MonotonicTime> next;
  for (const Run& run : running_) {
    if (run.kill_at && (!next || *run.kill_at < *next)) next = run.kill_at;
  }
  return next;
}

}  // namespace cachify::map

#pragma once

#include <sys/types.h>

#include <optional>

#include "run/job_control.h"
#include "run/run.h"
#include "store/store.h"
#include "util/time.h"
#include "util/unique_fd.h"

namespace cachify::run {

// Looks after COMMAND from its start until it was reaped: passes signals on, stops and continues
// with it, keeps the lease alive, and ends COMMAND when the lease is gone. No work is done in
// signal handlers: the signals (blocked by Interrupts) are read from a descriptor.
class Supervisor {
 public:
  // Before COMMAND is started, so that nothing can fail afterwards. Throws OsError.
  Supervisor(store::Lease& lease, const Request& request, JobControl& jobs);

  // `command` is our child; with request.own_group it leads a process group of its own. Returns
  // how cachify is to end, once COMMAND was reaped.
  Ending watch(pid_t command);

 private:
  struct Batch;

  void wait(Batch& batch);
  void read_signals(Batch& batch) const noexcept;
  void pass_on(const Batch& batch) noexcept;
  bool command_has_it(int signal, int code) const noexcept;
  void look_at_command() noexcept;
  void look_at_lease();
  void end_command(int signal) noexcept;
  void send(int signal) const noexcept;

  store::Lease& lease_;
  const Request& request_;
  JobControl& jobs_;
  util::UniqueFd signals_;
  util::UniqueFd tick_timer_;  // only for leases that tick

  pid_t command_ = -1;
  std::optional<Ending> ending_;  // COMMAND's, once it was reaped
  int stopped_by_ = 0;            // COMMAND is stopped, by this signal
  bool stop_is_new_ = false;      // and we have not followed it yet
  bool stop_asked_ = false;       // a stop signal came to us, too
  bool continued_ = false;        // COMMAND was continued, and we have not seen the CONT for it yet
  bool lease_watched_;
  bool ended_for_lease_ = false;
  std::optional<util::MonotonicTime> kill_at_;
  std::optional<util::MonotonicTime> attend_at_;  // the escort
};

}  // namespace cachify::run

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "map/feed.h"
#include "map/slots.h"
#include "map/spool.h"
#include "run/interrupts.h"
#include "util/time.h"
#include "util/unique_fd.h"

namespace cachify::map {

// One try of one item: a child process, the leader of a process group of its own, with the null
// device as standard input and a file each for standard output and standard error.
struct Run {
  Item item;
  Slot* slot = nullptr;
  std::string command;  // for the log, where one is kept
  util::UniqueFd out;
  util::UniqueFd err;
  pid_t pid = -1;
  int64_t started_us = 0;  // wall clock
  util::MonotonicTime started;
  std::optional<util::MonotonicTime> kill_at;  // it was told to end
  bool taken = false;                          // because its slot was lost or taken away

  // Once it has ended.
  util::MonotonicTime ended;
  int code = 0;    // 0 when a signal ended it
  int signal = 0;  // 0: it exited
  bool failed() const { return code != 0 || signal != 0 || taken; }
};

// The child processes of a map, from their start until they were reaped.
class Runs {
 public:
  Runs(const Request& request, run::Interrupts& interrupts);

  // Why a run was not started.
  struct Refusal {
    int error;  // of exec
    std::string command;
  };
  // Starts `run` (item and slot are set) or says why it cannot be executed. Throws OsError when
  // there are no processes or descriptors to be had just now; Unreadable.
  std::optional<Refusal> start(Run& run, const Feed& feed);
  void add(Run run) { running_.push_back(std::move(run)); }

  // Those that have ended since, reaped.
  std::vector<Run> reap();
  const std::vector<Run>& running() const { return running_; }
  Run* in(const Slot& slot);

  // To the whole group of each.
  void send_all(int signal) const;
  // TERM, and KILL after `kill_after`; a second call changes nothing.
  void end(Run& run, util::Duration kill_after, int signal);
  void end_all(util::Duration kill_after);
  void kill_overdue();
  std::optional<util::MonotonicTime> next_kill() const;

 private:
  const Request& request_;
  run::Interrupts& interrupts_;
  util::UniqueFd null_;
  std::optional<Results> results_;
  std::vector<Run> running_;
};

}  // namespace cachify::map

#pragma once

#include <sys/types.h>

#include <deque>
#include <optional>
#include <string>

#include "contract/stores.h"
#include "util/unique_fd.h"

namespace cachify::test {

// A caller of a store in a process of its own, as in real life: Interrupts allows one at a time in
// a process, and a process can be killed.
class Caller {
 public:
  struct Result {
    store::Outcome outcome{};
    store::Grant grant;
    util::Duration waited{};
    std::string error;  // what was thrown; then the rest means nothing
  };

  // Begins to ask at once.
  Caller(const StoreFixture& fixture, store::Claim claim, std::optional<util::Duration> patience);
  ~Caller();  // SIGKILL, when it is still there
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  pid_t pid() const { return pid_; }
  // Blocks until the store has answered; fails after half a minute.
  const Result& result();
  bool answered();  // without blocking
  void release();   // returns when that was done; fails when it threw
  // What the lease has told since it was had, one state for each time it said anything but `held`;
  // nullopt when it says nothing for so long. `kill_after` belongs to `taken`.
  struct Told {
    store::Lease::State state{};
    std::optional<util::Duration> kill_after;
  };
  std::optional<Told> told(util::Duration within);
  void kill(int signal);
  void wait();  // for its end

 private:
  pid_t pid_ = -1;
  util::UniqueFd from_;
  util::UniqueFd to_;
  std::optional<Result> result_;
  std::deque<Told> told_;
  bool note_what_was_told(const std::string& line);
};

}  // namespace cachify::test

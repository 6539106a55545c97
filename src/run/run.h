#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/store.h"
#include "util/time.h"

namespace cachify::run {

// What becomes of a lease that was lost while the command runs.
enum class OnLost { warn, term, kill };

class Interrupts;

// What a verb has to do around COMMAND besides holding the slot. The calls come in this order, in
// one process with one thread.
class Escort {
 public:
  virtual ~Escort() = default;
  // Admitted, COMMAND not started: makes ready what it needs. Returns further variables for its
  // environment (NAME=VALUE); nothing when a signal came, which Interrupts knows. Throws Error:
  // COMMAND is not started. Who blocks here keeps the lease alive.
  virtual std::optional<std::vector<std::string>> prepare(store::Lease& lease,
                                                          Interrupts& interrupts) = 0;
  // COMMAND runs: at its start, after each signal (CHLD included), and when it was asked for. When
  // it wants to be called next at the latest. Never blocks for longer than Lease::tick(), and opens
  // no signal meanwhile (Interrupts::Hold).
  virtual std::optional<util::MonotonicTime> attend() noexcept = 0;
  // Whatever became of prepare() and COMMAND, which was reaped: the slot is given back next.
  virtual void give_back() noexcept = 0;
  // The slot was given back. May take its time, until Interrupts has caught a signal.
  virtual void finish() noexcept = 0;
};

// Everything that `pool run`, `lock run` and their kin ask for, with all defaults filled in.
struct Request {
  store::Claim claim;
  // lock run of several keys: each of them once, as given; claim.key is the first. Else empty.
  std::vector<std::string> keys;
  std::vector<std::string> command;  // argv, at least one element (may be empty strings)

  bool wait = false;
  std::optional<util::Duration> timeout;  // with wait; none: as long as it takes
  std::optional<int> conflict_exit_code;  // instead of 75 and 124
  std::optional<std::string> on_full;     // shell text instead of any 75 or 124

  OnLost on_lost = OnLost::warn;
  util::Duration kill_after{};  // from a TERM of ours to the KILL
  bool own_group = false;       // COMMAND leads a process group, and signals go to all of it
  Escort* escort = nullptr;     // outlives the call
};

// How cachify is to end. With `signal` it dies of that signal (main does it, after every
// destructor ran), so that a shell's loop ends too; `code` is then 128 + signal. Dying of QUIT must
// not write a core file over COMMAND's: main sets RLIMIT_CORE to 0 (or PR_SET_DUMPABLE) first.
struct Ending {
  int code = 0;
  std::optional<int> signal;
};

// Takes the slot, runs the command in it, gives it back after the command was reaped. Prints its
// own messages about full, locked, waiting, and commands that cannot be executed. Throws Error
// (nothing was started, nothing is held). With on_full it may not return at all, as that command
// takes the place of this process. Descriptors 0 to 2 must be open, or a message could end up in a
// file of the store (main sees to it).
Ending run(store::Store& store, const Request& request);

}  // namespace cachify::run

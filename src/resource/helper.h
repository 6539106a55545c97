#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "run/interrupts.h"
#include "util/time.h"
#include "util/unique_fd.h"

namespace cachify::resource {

// One --create, --check or --destroy: a child in a process group of its own, with standard input
// from /dev/null, so that it neither eats COMMAND's input nor takes its terminal.
class Helper {
 public:
  struct Order {
    std::vector<std::string> argv;
    std::vector<std::string> variables;  // for its environment: CACHIFY_NAME=VALUE
    int output = -1;                     // standard output; -1: /dev/null
    bool dies_with_us = false;           // killed when cachify is
    util::Duration limit{};              // then TERM,
    util::Duration kill_after{};         // and so long after that KILL
  };
  // Starts it. Throws OsError.
  Helper(const Order& order, const run::Interrupts& interrupts);
  // One that still runs is killed and reaped.
  ~Helper();
  Helper(Helper&& other) noexcept;
  Helper& operator=(Helper&& other) = delete;

  int fd() const noexcept { return pidfd_.get(); }  // readable when it has ended
  // Reaps it if it has ended, ends it if its time is up. True: it is over.
  bool look() noexcept;
  void stop() noexcept;  // TERM now, as if its time were up
  // When look() should be called at the latest.
  util::MonotonicTime next_look() const noexcept { return next_; }

  bool succeeded() const noexcept { return status_ == 0 && !late_; }
  // "failed with exit code 3", "was killed by signal 9", "took longer than 60s".
  std::string failure() const;

 private:
  void signal(int number) const noexcept;

  pid_t pid_ = -1;
  util::UniqueFd pidfd_;
  std::optional<int> status_;  // as waitpid says, once it has ended
  util::Duration limit_;
  util::Duration kill_after_;
  util::MonotonicTime next_;
  bool terminated_ = false;  // has got TERM
  bool late_ = false;
};

// `sh -c 'TEXT "$@"' TEXT ARGUMENT...`, as --on-full does it.
std::vector<std::string> shell_call(const std::string& text,
                                    const std::vector<std::string>& arguments);

}  // namespace cachify::resource

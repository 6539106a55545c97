#pragma once

#include <poll.h>

#include <csignal>
#include <optional>
#include <vector>

#include "util/time.h"

namespace cachify::map {

// The first of several times; none when there is none.
class Earliest {
 public:
  void add(std::optional<util::MonotonicTime> time) {
    if (time && (!time_ || *time < *time_)) time_ = time;
  }
  std::optional<util::MonotonicTime> get() const { return time_; }

 private:
  std::optional<util::MonotonicTime> time_;
};

// ppoll(2): with `mask` while it sleeps, which ends at `until` at the latest.
int wait_for(std::vector<pollfd>& fds, std::optional<util::MonotonicTime> until,
             const sigset_t& mask);

}  // namespace cachify::map

#pragma once

#include <signal.h>

#include <string>
#include <utility>
#include <vector>

#include "util/time.h"
#include "util/unique_fd.h"

namespace cachify::store::file {

// Notices when files are written to or when an open file of theirs is closed for the last time:
// the only thing that tells when a command ends whose cachify was killed. Costs an inotify
// instance (128 per user by default, and up to 20 ms to close), so it is used for nothing else.
class FileWatch {
 public:
  // False where there is no instance or no watch to be had. Adding a file again is no error.
  bool add(const std::string& path);
  // Whether a file was added since the last call.
  bool fresh() { return std::exchange(fresh_, false); }
  // Sleeps until something happened (true), until `until`, or until a signal that `mask` lets
  // through.
  bool sleep(util::MonotonicTime until, const sigset_t& mask);

 private:
  util::UniqueFd fd_;
  std::vector<std::string> watched_;
  bool fresh_ = false;
};

// Sleeps until `until` or until a signal that `mask` lets through.
void sleep_until(util::MonotonicTime until, const sigset_t& mask);

}  // namespace cachify::store::file

#pragma once

#include <sys/types.h>

#include "util/unique_fd.h"

namespace cachify::run {

// The controlling terminal, as far as job control goes; opened when first asked about, and not
// there at all for most callers. SIGTTOU must be blocked, or giving the terminal away from the
// background would stop us.
class Terminal {
 public:
  // The process group that the terminal listens to; -1: no controlling terminal.
  pid_t foreground() noexcept;
  void set_foreground(pid_t group) noexcept;
  // Close-on-exec; -1: none. Valid after foreground().
  int fd() const noexcept { return fd_.get(); }

 private:
  util::UniqueFd fd_;
  bool tried_ = false;
};

}  // namespace cachify::run

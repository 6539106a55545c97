#include "run/terminal.h"

#include <fcntl.h>
#include <unistd.h>

namespace cachify::run {

pid_t Terminal::foreground() noexcept {
  if (!tried_) {
    tried_ = true;
    fd_.reset(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  return fd_ ? tcgetpgrp(fd_.get()) : -1;
}

void Terminal::set_foreground(pid_t group) noexcept {
  if (fd_) tcsetpgrp(fd_.get(), group);
}

}  // namespace cachify::run

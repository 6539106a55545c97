#include "util/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"

namespace cachify::util {

void occupy_closed_standard_descriptors() noexcept {
  pollfd standard[] = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}};
  if (::poll(standard, 3, 0) <= 0) return;
  for (const pollfd& entry : standard) {
    if ((entry.revents & POLLNVAL) == 0) continue;
    // The lowest free number is this one: those below it are open by now.
    if (::open("/", O_PATH | O_CLOEXEC) < 0) return;
  }
}

void write_output(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      // Somebody who shares the open file made it non-blocking.
      pollfd output{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&output, 1, -1);
    } else if (errno != EINTR) {
      throw OsError("cannot write to standard output", errno);
    }
  }
}

}  // namespace cachify::util

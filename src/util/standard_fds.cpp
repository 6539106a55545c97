#include "util/standard_fds.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>

namespace cachify::util {

void occupy_standard_fds() noexcept {
  std::array<pollfd, 3> fds{pollfd{0, 0, 0}, pollfd{1, 0, 0}, pollfd{2, 0, 0}};
  if (poll(fds.data(), fds.size(), 0) <= 0) return;
  for (const pollfd& fd : fds) {
    if ((fd.revents & POLLNVAL) == 0) continue;
    // The lowest free number is the one wanted, as all below it are open by now. Reading from a
    // closed descriptor and writing to it fails; here as well, but without an error for writing.
    if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0) return;
  }
}

}  // namespace cachify::util

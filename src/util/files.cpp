#include "util/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace cachify::util {

UniqueFd open_above_stdio(int directory, const char* path, int flags, mode_t mode) {
  UniqueFd fd(::openat(directory, path, flags, mode));
  if (fd && fd.get() <= STDERR_FILENO) {
    fd = UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  }
  return fd;
}

ssize_t read_at(int fd, void* buffer, size_t size, off_t offset) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, static_cast<char*>(buffer) + done, size - done,
                              offset + static_cast<off_t>(done));
    if (n == 0) break;
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return static_cast<ssize_t>(done);
}

bool write_at(int fd, const void* buffer, size_t size, off_t offset) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pwrite(fd, static_cast<const char*>(buffer) + done, size - done,
                               offset + static_cast<off_t>(done));
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace cachify::util

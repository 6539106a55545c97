#pragma once

#include <sys/types.h>

#include <cstddef>

#include "util/unique_fd.h"

namespace cachify::util {

// openat(2) whose descriptor is never 0, 1 or 2, so that a command started with one of them closed
// finds it closed. Empty on failure, errno set. `flags` should hold O_CLOEXEC.
UniqueFd open_above_stdio(int directory, const char* path, int flags, mode_t mode = 0);

// pread/pwrite that go on after EINTR and short counts. read_at returns what there was before the
// end of the file, -1 with errno on error. write_at is false with errno set on error.
ssize_t read_at(int fd, void* buffer, size_t size, off_t offset);
bool write_at(int fd, const void* buffer, size_t size, off_t offset);

}  // namespace cachify::util

#include "store/file/locks.h"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "errors.h"
#include "util/errno_text.h"

namespace cachify::store::file {

namespace {

struct flock range(short type, uint64_t first, uint64_t count) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(first);
  lock.l_len = static_cast<off_t>(count);
  return lock;
}

[[noreturn]] void fail(int error_number) {
  throw StoreError("the store's file system cannot lock: " + util::errno_text(error_number) +
                   "; name a directory on another one with --store file:DIR");
}

}  // namespace

void lock_byte(int fd, uint64_t byte) {
  struct flock lock = range(F_WRLCK, byte, 1);
  while (::fcntl(fd, F_OFD_SETLK, &lock) != 0) {
    if (errno != EINTR) fail(errno);
  }
}

void unlock_byte(int fd, uint64_t byte) {
  struct flock lock = range(F_UNLCK, byte, 1);
  ::fcntl(fd, F_OFD_SETLK, &lock);
}

bool any_byte_is_locked(int fd, uint64_t first, uint64_t count) {
  // Asked for reading: the short read locks of wait_for_byte do not count.
  struct flock lock = range(F_RDLCK, first, count);
  while (::fcntl(fd, F_OFD_GETLK, &lock) != 0) {
    if (errno != EINTR) fail(errno);
  }
  return lock.l_type != F_UNLCK;
}

bool byte_is_locked(int fd, uint64_t byte) {
  return any_byte_is_locked(fd, byte, 1);
}

void wait_for_byte(int fd, uint64_t byte) {
  // A read lock, so that everybody who waits for this byte wakes at the same time.
  struct flock lock = range(F_RDLCK, byte, 1);
  if (::fcntl(fd, F_OFD_SETLKW, &lock) == 0) {
    unlock_byte(fd, byte);
  } else if (errno != EINTR) {
    fail(errno);
  }
}

}  // namespace cachify::store::file

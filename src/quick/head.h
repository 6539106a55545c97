#pragma once

#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/futex.h>

#include "quick/kernel.h"
#include "store/file/layout.h"

// The state file as the quick start sees it: its first page, and only simple, sound pictures.
namespace cachify::quick {

inline constexpr long kLockExclusive = 2;  // LOCK_EX, LOCK_NB, LOCK_UN of flock(2)
inline constexpr long kLockNoWait = 4;
inline constexpr long kUnlock = 8;

// Page 0, without the infos.
struct Head {
  store::file::Header header;
  store::file::Entry entries[store::file::kFirstEntries];
};
inline Head head;

// False when the entries are not all in this page.
inline bool read_head(int fd) {
  if (kernel(__NR_pread64, fd, address(&head), sizeof head, 0) != sizeof head) return false;
  const store::file::Header& header = head.header;
  return header.magic == store::file::kMagic && header.high_water <= store::file::kFirstEntries &&
         header.checksum == store::file::checksum_of(header, head.entries, header.high_water);
}

// Header and `count` entries in one write, which SIGKILL cannot split.
inline bool write_head(int fd, uint32_t count) {
  store::file::Header& header = head.header;
  header.checksum = store::file::checksum_of(header, head.entries, header.high_water);
  const auto bytes = static_cast<long>(sizeof header + count * sizeof head.entries[0]);
  return kernel(__NR_pwrite64, fd, address(&head), bytes, 0) == bytes;
}

// The mutex is held for microseconds; who finds it longer in use leaves the wait to the full
// program, which can be interrupted.
inline bool take_mutex(int fd) {
  for (int tries = 0; tries < 20; ++tries) {
    if (kernel(__NR_flock, fd, kLockExclusive | kLockNoWait) == 0) return true;
    kernel(__NR_sched_yield);
  }
  return false;
}

// What the kernel looks at when this process dies (store/file/bell.h).
inline robust_list_head robust;

inline bool look_at(int fd, struct stat& status) {
  return kernel(__NR_fstat, fd, address(&status)) == 0;
}

inline bool set_byte(int fd, int type, uint64_t byte) {
  struct flock lock;
  lock.l_type = static_cast<short>(type);
  lock.l_whence = 0;
  lock.l_start = static_cast<long>(byte);
  lock.l_len = 1;
  lock.l_pid = 0;
  return kernel(__NR_fcntl, fd, F_OFD_SETLK, address(&lock)) == 0;
}

// Closed at the end of its scope unless kept; what was locked through it is free then.
class Descriptor {
 public:
  explicit Descriptor(long fd) : fd_(static_cast<int>(fd)) {}
  ~Descriptor() {
    if (fd_ >= 0) kernel(__NR_close, fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  // One of 0, 1, 2 was closed when we were started: the full program knows what to do.
  bool usable() const { return fd_ > 2; }
  int get() const { return fd_; }
  int keep() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

}  // namespace cachify::quick

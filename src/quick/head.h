#pragma once

#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/futex.h>

#include "quick/kernel.h"
#include "store/file/layout.h"

// The state file as the quick start sees it: header, first entries and some blocks, and only
// simple, sound pictures.
namespace cachify::quick {

inline constexpr long kLockExclusive = 2;  // LOCK_EX, LOCK_NB, LOCK_UN of flock(2)
inline constexpr long kLockNoWait = 4;
inline constexpr long kUnlock = 8;

inline constexpr uint32_t kMostEntries =
    store::file::kFirstEntries + 16 * store::file::kBlockEntries;

struct Head {
  store::file::Header header;
  store::file::Entry entries[kMostEntries];
};
inline Head head;
inline constexpr long kFirstBytes =
    sizeof(store::file::Header) + store::file::kFirstEntries * sizeof(store::file::Entry);

constexpr uint32_t first_of(uint32_t count) {
  return count < store::file::kFirstEntries ? count : store::file::kFirstEntries;
}

// False when there are more entries than that. Those of the block are not checked here.
inline bool read_head(int fd) {
  if (kernel(__NR_pread64, fd, address(&head), kFirstBytes, 0) != kFirstBytes) return false;
  const store::file::Header& header = head.header;
  const uint32_t count = header.high_water;
  if (header.magic != store::file::kMagic || count > kMostEntries ||
      header.checksum != store::file::checksum_of(header, head.entries)) {
    return false;
  }
  for (uint32_t i = store::file::kFirstEntries; i < count; i += store::file::kBlockEntries) {
    const uint32_t part =
        count - i < store::file::kBlockEntries ? count - i : store::file::kBlockEntries;
    const auto bytes = static_cast<long>(part * sizeof(store::file::Entry));
    if (kernel(__NR_pread64, fd, address(head.entries + i), bytes,
               static_cast<long>(store::file::entry_offset(i))) != bytes) {
      return false;
    }
  }
  return true;
}

// Header and `count` first entries in one write, which SIGKILL cannot split.
inline bool write_head(int fd, uint32_t count) {
  store::file::Header& header = head.header;
  header.checksum = store::file::checksum_of(header, head.entries);
  const auto bytes = static_cast<long>(sizeof header + first_of(count) * sizeof head.entries[0]);
  return kernel(__NR_pwrite64, fd, address(&head), bytes, 0) == bytes;
}

// An entry of the block; those before it go with the head.
inline bool write_block_entry(int fd, uint32_t index) {
  if (index < store::file::kFirstEntries) return true;
  return kernel(__NR_pwrite64, fd, address(head.entries + index), sizeof head.entries[0],
                static_cast<long>(store::file::entry_offset(index))) == sizeof head.entries[0];
}

// The mutex is held for microseconds. Who finds it in use for some milliseconds leaves the wait to
// the full program, which can be interrupted.
inline bool take_mutex(int fd) {
  for (int tries = 0; tries < 40; ++tries) {
    if (kernel(__NR_flock, fd, kLockExclusive | kLockNoWait) == 0) return true;
    if (tries < 20) {
      kernel(__NR_sched_yield);
    } else {
      const long pause[2] = {0, 100'000};  // struct timespec
      kernel(__NR_nanosleep, address(pause), 0);
    }
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

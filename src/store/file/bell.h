#pragma once

#include <sys/stat.h>

#include <optional>

#include "util/time.h"

namespace cachify::store::file {

// The futex in the header of a pool's state file, on which the head of the queue sleeps. The word
// is changed by pwrite(2) under the mutex only; user space never touches the mapping, so that a
// truncated file cannot raise SIGBUS.
class Bell {
 public:
  Bell() = default;
  ~Bell();
  Bell(Bell&& other) noexcept;
  Bell& operator=(Bell&& other) noexcept;
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  // Maps the page of a file, whose `status` tells which one it is. False where the file system
  // cannot share a mapping; then nothing else works.
  bool map(int fd, const struct stat& status);
  bool mapped() const { return word_ != nullptr; }

  // From now on the kernel wakes one sleeper when this process dies, whatever it dies of: the word
  // is the pending entry of its robust list (see robust_list in the kernel's documentation). There
  // is one such entry for a process, so one bell; the leases of one key share it, and the kernel
  // rings until the last of them has forgotten about it.
  void ring_at_death();
  void forget_death();

  // Sleeps while the word is "armed", until `until` at the latest; also ends on a signal.
  // True when somebody (a process or the kernel) woke it.
  bool sleep(std::optional<util::MonotonicTime> until);
  void wake_all();

 private:
  void* page_ = nullptr;
  unsigned* word_ = nullptr;
  bool shared_ = false;  // the page is that of all bells of this file
  bool armed_ = false;   // ring_at_death() and not forgotten yet
};

}  // namespace cachify::store::file

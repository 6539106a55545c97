#include "store/file/bell.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstddef>
#include <ctime>
#include <utility>

#include "store/file/layout.h"

namespace cachify::store::file {

namespace {

// The kernel keeps a pointer to it. It takes the place of libc's own, which serves robust mutexes
// only; this process has none.
robust_list_head robust_head{{&robust_head.list}, 0, nullptr};

// The page of the file whose bell was mapped first, for all bells of that file: the kernel is given
// an address, so the leases of one key have to agree on it.
struct SharedPage {
  dev_t device = 0;
  ino_t inode = 0;
  void* page = nullptr;
  int users = 0;
  int armed = 0;
};
SharedPage shared_page;

long futex(unsigned* word, int operation, unsigned value, const timespec* until) {
  return ::syscall(SYS_futex, word, operation, value, until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

Bell::~Bell() {
  forget_death();
  if (page_ == nullptr || (shared_ && --shared_page.users > 0)) return;
  if (shared_) shared_page.page = nullptr;
  ::munmap(page_, kPage);
}

Bell::Bell(Bell&& other) noexcept
    : page_(std::exchange(other.page_, nullptr)),
      word_(std::exchange(other.word_, nullptr)),
      shared_(std::exchange(other.shared_, false)),
      armed_(std::exchange(other.armed_, false)) {}

Bell& Bell::operator=(Bell&& other) noexcept {
  std::swap(page_, other.page_);
  std::swap(word_, other.word_);
  std::swap(shared_, other.shared_);
  std::swap(armed_, other.armed_);
  return *this;
}

bool Bell::map(int fd, const struct stat* status) {
  if (mapped()) return true;
  struct stat own {};
  if (status == nullptr && ::fstat(fd, &own) != 0) return false;
  if (status == nullptr) status = &own;
  const bool same = shared_page.page != nullptr && shared_page.device == status->st_dev &&
                    shared_page.inode == status->st_ino;
  void* page = shared_page.page;
  if (!same) {
    page = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return false;
    if (shared_page.page == nullptr) shared_page = {status->st_dev, status->st_ino, page, 0, 0};
  }
  shared_ = page == shared_page.page;
  if (shared_) ++shared_page.users;
  page_ = page;
  word_ = reinterpret_cast<unsigned*>(static_cast<char*>(page) + offsetof(Header, bell));
  return true;
}

void Bell::ring_at_death() {
  static bool registered = false;
  if (!registered) {
    registered = ::syscall(SYS_set_robust_list, &robust_head, sizeof robust_head) == 0;
  }
  if (shared_ && !armed_) ++shared_page.armed;
  armed_ = true;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  robust_head.list_op_pending = reinterpret_cast<robust_list*>(word_);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void Bell::forget_death() {
  if (!armed_) return;
  armed_ = false;
  if (shared_ && --shared_page.armed > 0) return;
  if (robust_head.list_op_pending != reinterpret_cast<robust_list*>(word_)) return;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  robust_head.list_op_pending = nullptr;
}

bool Bell::sleep(std::optional<util::MonotonicTime> until) {
  timespec at{};
  if (until) at = {.tv_sec = until->ns / 1'000'000'000, .tv_nsec = until->ns % 1'000'000'000};
  return futex(word_, FUTEX_WAIT_BITSET, kBellArmed, until ? &at : nullptr) == 0;
}

void Bell::wake_all() {
  futex(word_, FUTEX_WAKE, INT_MAX, nullptr);
}

}  // namespace cachify::store::file

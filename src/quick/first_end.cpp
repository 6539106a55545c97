#include "quick/first_end.h"

#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/wait.h>

#include "quick/first_steps.h"
#include "quick/handover.h"
#include "quick/head.h"
#include "quick/kernel.h"
#include "quick/signals.h"

namespace cachify::quick {

namespace {

using store::file::Entry;
using store::file::EntryState;

void clear(Entry& entry) {
  auto* words = reinterpret_cast<uint64_t*>(&entry);
  for (size_t i = 0; i < sizeof entry / sizeof *words; ++i) words[i] = 0;
}

// R1 and the checks of R2, with the mutex held when it is true.
bool find_our_entry() {
  const int fd = handover.control_fd;
  if (!take_mutex(fd)) return false;
  struct stat status;
  if (look_at(fd, status) && status.st_nlink != 0 && read_head(fd)) {
    const Entry& entry = head.entries[handover.index];
    if (entry.ticket == handover.ticket && entry.state == EntryState::holding &&
        entry.checksum == store::file::checksum_of(entry)) {
      return true;
    }
  }
  kernel(__NR_flock, fd, kUnlock);
  return false;
}

// The rest of RELEASE. Should the entry stay, it is dead without H.
void give_back(const PlainCall& call) {
  const int fd = handover.control_fd;
  uint32_t& high_water = head.header.high_water;
  const uint32_t count = high_water;
  bool ring = false;
  if (!call.lock && head.header.bell == store::file::kBellArmed) {
    for (uint32_t i = 0; i < high_water; ++i) {
      if (head.entries[i].state == EntryState::waiting) ring = true;
    }
  }
  if (ring) head.header.bell = store::file::kBellRung;
  clear(head.entries[handover.index]);
  // Of the block first: what the header counts no more must not lie there.
  write_block_entry(fd, handover.index);
  while (high_water > 0 && is_free(head.entries[high_water - 1])) --high_water;
  ++head.header.counters.completed;
  write_head(fd, count);
  kernel(__NR_flock, fd, kUnlock);
  set_byte(handover.hold_fd, F_UNLCK, store::file::kHoldByte + handover.ticket);
  if (ring) kernel(__NR_futex, address(handover.bell), FUTEX_WAKE, 0x7fffffff);
  robust.list_op_pending = nullptr;
}

}  // namespace

bool wait_for_signal(int milliseconds) {
  struct pollfd entry;
  entry.fd = handover.signal_fd;
  entry.events = POLLIN;
  entry.revents = 0;
  return kernel(__NR_poll, address(&entry), 1, milliseconds) == 1;
}

int plain_exit_code() {
  siginfo_t info;
  info.si_pid = 0;
  const long result =
      kernel(__NR_waitid, P_PID, handover.pid, address(&info), WEXITED | WNOHANG | WNOWAIT);
  if (result != 0 || info.si_pid != handover.pid || info.si_code != CLD_EXITED) return -1;
  return (pending_signals(handover.given_mask) & ~bit(SIGCHLD)) == 0 ? info.si_status : -1;
}

void see_to_the_end(const PlainCall& call) {
  if (!wait_for_signal(-1)) return;
  const int code = plain_exit_code();
  if (code < 0) return;
  if (!find_our_entry()) return;
  kernel(__NR_wait4, handover.pid);
  give_back(call);
  kernel(__NR_exit_group, code);
}

}  // namespace cachify::quick

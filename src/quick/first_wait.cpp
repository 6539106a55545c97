#include "quick/first_wait.h"

#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/ucontext.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>

#include "quick/first_steps.h"
#include "quick/handover.h"
#include "quick/kernel.h"
#include "quick/signals.h"
#include "store/file/file_system.h"
#include "store/file/layout.h"

// The wait's asm below: signals that come between its first and its last instruction end it.
extern "C" {
extern const char cachify_wait_begin[];
extern const char cachify_wait_end[];
extern const char cachify_wait_out[];
void cachify_signal_return();
}

namespace cachify::quick {

namespace {

namespace layout = store::file;
using layout::Entry;
using layout::EntryState;
using layout::Info;

constexpr long kInterrupted = -4;  // EINTR
constexpr uint32_t kNone = 0xffffffffU;
constexpr int64_t kHeartbeat = 1'000'000'000;
constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

// --- signals

volatile int caught;  // the first one that came into a wait, of those that are more than a poke

// Race-free without a timer: a signal either comes before the system call begins, and then leads
// past it, or it ends the call. Should it come after, `caught` is looked at under the mutex.
void on_signal(int number, siginfo_t*, ucontext* context) {
  if (caught == 0 || caught == SIGURG) caught = number;
  auto& next = context->uc_mcontext.rip;
  const auto begin = static_cast<unsigned long>(address(cachify_wait_begin));
  const auto end = static_cast<unsigned long>(address(cachify_wait_end));
  if (next >= begin && next < end) {
    next = static_cast<unsigned long>(address(cachify_wait_out));
  }
}

[[gnu::noinline, gnu::noclone]] long call_unless_caught(long number, long a, long b, long c) {
  long result = number;
  asm volatile(R"(
    cachify_wait_begin:
      cmpl $0, %[caught]
      jne cachify_wait_out
      syscall
    cachify_wait_end:
      jmp 1f
    cachify_wait_out:
      mov %[interrupted], %%rax
    1:)"
               : "+a"(result)
               : [caught] "m"(caught), [interrupted] "i"(kInterrupted), "D"(a), "S"(b), "d"(c)
               : "rcx", "r11", "memory", "cc");
  return result;
}

// Those that Interrupts handles in a wait; everything else does there what it does by default.
constexpr int kHandled[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGURG};
constexpr int kHandledCount = sizeof kHandled / sizeof kHandled[0];
Action given_actions[kHandledCount];

void catch_signals() {
  constexpr unsigned long kRestorer = 0x04000000;  // SA_RESTORER
  const Action action{static_cast<unsigned long>(address(on_signal)), SA_SIGINFO | kRestorer,
                      static_cast<unsigned long>(address(cachify_signal_return)), kBlocked};
  for (int i = 0; i < kHandledCount; ++i) {
    set_action(kHandled[i], &action, &given_actions[i]);
    const bool ignored = given_actions[i].handler == kIgnore && kHandled[i] != SIGURG;
    if (ignored) set_action(kHandled[i], &given_actions[i], nullptr);
  }
}

// Pokes us after so long: whatever there is to see is seen then.
int timer = -1;
bool start_timer(int64_t ns) {
  if (timer < 0) {
    struct sigevent event {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGURG;
    if (kernel(__NR_timer_create, kMonotonic, address(&event), address(&timer)) != 0) return false;
  }
  const long once[4] = {0, 0, ns / 1'000'000'000, ns % 1'000'000'000};  // struct itimerspec
  return kernel(__NR_timer_settime, timer, 0, address(once), 0) == 0;
}

void restore_signals() {
  if (timer >= 0) kernel(__NR_timer_delete, timer);
  for (int i = 0; i < kHandledCount; ++i) set_action(kHandled[i], &given_actions[i], nullptr);
}

// --- locks

bool is_locked(int fd, uint64_t byte) {
  struct flock lock;
  lock.l_type = F_RDLCK;
  lock.l_whence = 0;
  lock.l_start = static_cast<long>(byte);
  lock.l_len = 1;
  lock.l_pid = 0;
  return kernel(__NR_fcntl, fd, F_OFD_GETLK, address(&lock)) == 0 && lock.l_type != F_UNLCK;
}

// Until the byte is free (true), or anything else ends the wait.
bool wait_for_byte(int fd, uint64_t byte) {
  struct flock lock;
  lock.l_type = F_RDLCK;
  lock.l_whence = 0;
  lock.l_start = static_cast<long>(byte);
  lock.l_len = 1;
  lock.l_pid = 0;
  const uint64_t open = handover.given_mask & ~bit(SIGURG);
  const uint64_t closed = handover.given_mask | kBlocked;
  kernel(__NR_rt_sigprocmask, SIG_SETMASK, address(&open), 0, sizeof open);
  const long result = call_unless_caught(__NR_fcntl, fd, F_OFD_SETLKW, address(&lock));
  kernel(__NR_rt_sigprocmask, SIG_SETMASK, address(&closed), 0, sizeof closed);
  return result == 0 && set_byte(fd, F_UNLCK, byte);
}

// --- who runs us

constexpr int kMostAncestors = 64;
int ancestors[kMostAncestors];
int ancestor_count;

int parent_of(int pid) {
  static Text<32> path;
  path.clear();
  path.add("/proc/").add_number(static_cast<uint64_t>(pid), 10).add("/stat");
  Descriptor file(kernel(__NR_openat, AT_FDCWD, address(path.c_str()), O_RDONLY | O_CLOEXEC));
  static char text[512];
  const long size = kernel(__NR_read, file.get(), address(text), sizeof text);
  // "pid (name) state ppid ...": the name may hold anything, so look from its last bracket on.
  long at = size - 1;
  while (at > 0 && text[at] != ')') --at;
  if (at <= 0) return 0;
  int parent = 0;
  for (at += 4; at < size && text[at] >= '0' && text[at] <= '9'; ++at) {
    parent = parent * 10 + (text[at] - '0');
  }
  return parent;
}

bool note_ancestors() {
  for (auto pid = static_cast<int>(kernel(__NR_getppid)); pid > 0; pid = parent_of(pid)) {
    if (ancestor_count == kMostAncestors) return false;
    ancestors[ancestor_count++] = pid;
  }
  return true;
}

// Whether the holder may be above us, and would never end: the full program says so.
bool may_be_above(int control, uint32_t holder) {
  static Info info;
  if (kernel(__NR_pread64, control, address(&info), sizeof info,
             static_cast<long>(layout::info_offset(holder))) != sizeof info) {
    return true;
  }
  if (info.pid_namespace != pid_namespace()) return false;
  for (int i = 0; i < ancestor_count; ++i) {
    if (static_cast<uint32_t>(ancestors[i]) == info.pid) return true;
  }
  return false;
}

// --- the queue

// How long there is nothing to say or to do but to wait; 0: for ever. Somebody at a terminal is
// told what he waits for, as in run/explain.cpp.
int64_t longest_wait(const PlainCall& call) {
  constexpr long kStandardError = 2, kGetAttributes = 0x5401;  // TCGETS, as isatty(3)
  constexpr int64_t kExplainAfter = 1'000'000'000;
  char attributes[64];
  const bool terminal =
      kernel(__NR_ioctl, kStandardError, kGetAttributes, address(attributes)) == 0;
  if (!terminal) return call.timeout_ns;
  const bool sooner = call.timeout_ns > 0 && call.timeout_ns < kExplainAfter;
  return sooner ? call.timeout_ns : kExplainAfter;
}

// The place that we have in the queue, and what belongs to it.
struct Place {
  int fd = 0;  // the control description of the entry's shard; 0: no place
  uint64_t ticket;
} place;

struct Look {
  uint32_t before;  // the last one that waits before `ticket`
  uint32_t holder;
  uint32_t holders;
  uint32_t free;
};

// Reads the table. False when something in it is not simple.
bool look_around(int control, uint64_t ticket, Look& look) {
  struct stat status;
  if (!look_at(control, status) || status.st_nlink != 1 || !read_head(control)) return false;
  look = {kNone, kNone, 0, head.header.high_water};
  for (uint32_t i = head.header.high_water; i-- > 0;) {
    const Entry& entry = head.entries[i];
    if (is_free(entry)) {
      look.free = i;
      continue;
    }
    if (!is_sound(entry)) return false;
    if (entry.state == EntryState::holding && entry.expires == 0) {
      look.holder = i;
      ++look.holders;
    } else if (entry.state == EntryState::waiting && entry.priority == 0) {
      const bool nearer = look.before == kNone || entry.ticket > head.entries[look.before].ticket;
      if (entry.ticket < ticket && nearer) look.before = i;
    } else {
      return false;
    }
  }
  return status.st_size >= static_cast<long>(layout::file_bytes(head.header.high_water));
}

// Descriptors of the two files that hold the locks of the entries we know.
class Files {
 public:
  Files(Descriptor& directory, const char* name, Descriptor& control)
      : directory_(directory), control_(control) {
    shard_name_.clear();
    shard_name_.add(name).add("~1");
    name_ = name;
  }
  // Of an entry's locks; -1 when it cannot be had.
  int of(uint32_t index) {
    if (layout::shard_of(index) == 0) return control_.get();
    if (layout::shard_of(index) > 1) return -1;
    if (shard_ <= 0) shard_ = open_shard();
    return shard_;
  }
  int open_hold(uint32_t index) {
    const bool first = layout::shard_of(index) == 0;
    const char* name = first ? name_ : shard_name_.c_str();
    Descriptor hold(kernel(__NR_openat, directory_.get(), address(name), kFlags));
    struct stat one;
    struct stat other;
    const bool same = hold.usable() && look_at(hold.get(), one) && look_at(of(index), other) &&
                      one.st_ino == other.st_ino && one.st_dev == other.st_dev;
    return same ? hold.keep() : -1;
  }
  // What is not taken along; the directory and the control description close by themselves.
  void close(int hold) const {
    if (hold > 0) kernel(__NR_close, hold);
    if (shard_ > 0) kernel(__NR_close, shard_);
  }
  int directory() { return directory_.keep(); }
  int control() { return control_.keep(); }
  int shard() const { return shard_ > 0 ? shard_ : 0; }

 private:
  int open_shard() {
    Descriptor shard(kernel(__NR_openat, directory_.get(), address(shard_name_.c_str()), kFlags));
    return shard.usable() ? shard.keep() : -1;
  }

  Descriptor& directory_;
  Descriptor& control_;
  const char* name_;
  Text<256> shard_name_;
  int shard_ = 0;
};

void set_entry(uint32_t index, uint64_t ticket, EntryState state) {
  Entry& entry = head.entries[index];
  entry.ticket = ticket;
  entry.fence = state == EntryState::holding ? draw_number() : 0;
  entry.expires = 0;
  entry.expiry = 0;
  entry.slot = 0;
  entry.count = 1;
  entry.primary = state == EntryState::holding ? index : 0;
  entry.max = 1;  // a pool of more slots does not come here
  entry.priority = 0;
  entry.state = state;
  entry.shared = 0;
  entry.ending = 0;
  entry.weight = 1;
  entry.checksum = layout::checksum_of(entry);
  if (head.header.high_water <= index) head.header.high_water = index + 1;
}

bool write_entry(int control, uint32_t index) {
  return write_head(control, head.header.high_water) && write_block_entry(control, index);
}

// Says in the handover what we have; the mutex is not held after it.
void hand_over(Files& files, uint32_t index, uint64_t ticket, int hold) {
  handover.ticket = ticket;
  handover.index = index;
  handover.hold_fd = hold > 0 ? hold : 0;
  handover.shard_fd = files.shard();
  handover.directory_fd = files.directory();
  handover.control_fd = files.control();
  kernel(__NR_flock, handover.control_fd, kUnlock);
  restore_signals();
}

bool leave_it_to_main(Files& files, uint32_t index, uint64_t ticket, int hold) {
  hand_over(files, index, ticket, hold);
  handover.waiting = true;
  default_child_signal();
  // Blocked by now: there for who looks at what is pending. (A poke says no more than: look.)
  if (caught != 0 && caught != SIGURG) {
    kernel(__NR_kill, kernel(__NR_getpid), caught);
  }
  return false;
}

// C1 to C5, with the mutex held before and after. Unclear: not to be decided here.
enum class Turn { ours, not_yet, unclear };
Turn check(int control, Files& files, uint32_t index, uint64_t ticket, int64_t deadline) {
  Look look;
  if (caught == SIGURG) caught = 0;  // a poke asks to look
  if (caught != 0 || !look_around(control, ticket, look)) return Turn::unclear;
  // One holder is in the way, or it is not his end alone that counts.
  if (look.holders > 1 || head.header.stored_max != 0) return Turn::unclear;
  const Entry& own = head.entries[index];
  const bool mine =
      index < head.header.high_water && own.ticket == ticket && own.state == EntryState::waiting;
  if (!mine) return Turn::unclear;
  if (look.before == kNone && look.holder == kNone) return Turn::ours;
  const bool behind = look.before != kNone;
  const uint32_t other = behind ? look.before : look.holder;
  const uint64_t byte =
      (behind ? layout::kWaitByte : layout::kHoldByte) + head.entries[other].ticket;
  const int fd = files.of(other);
  // Who is dead is to be dropped.
  if (fd < 0 || !is_locked(fd, byte)) return Turn::unclear;
  // As a head no longer than a second: somebody may have taken the slot away and died before he
  // said so. Behind others there is no need to, but a deadline.
  int64_t most = behind ? 0 : kHeartbeat;
  if (deadline != 0) {
    const int64_t rest = deadline - now_ns(kMonotonic);
    if (rest <= 0) return Turn::unclear;
    if (most == 0 || rest < most) most = rest;
  }
  if (most != 0 && !start_timer(most)) return Turn::unclear;
  kernel(__NR_flock, control, kUnlock);
  const bool woken = wait_for_byte(fd, byte);
  const bool looks = woken || caught == SIGURG;
  return take_mutex(control) && looks ? Turn::not_yet : Turn::unclear;
}

// D1 to D4. What was locked before a failure is unlocked with its descriptor.
bool admit(int control, int fd, int hold, uint32_t index, uint64_t ticket, int64_t waited,
           const PlainCall& call) {
  if (hold < 0 || !set_byte(fd, F_WRLCK, layout::kLifeByte + ticket) ||
      !set_byte(hold, F_WRLCK, layout::kHoldByte + ticket)) {
    return false;
  }
  set_entry(index, ticket, EntryState::holding);
  layout::Counters& counters = head.header.counters;
  ++counters.admitted;
  const auto waited_us = static_cast<uint64_t>(waited) / 1000;
  counters.waited_us += waited_us;
  if (counters.longest_wait_us < waited_us) counters.longest_wait_us = waited_us;
  return write_info(control, call, index) && write_entry(control, index);
}

}  // namespace

bool wait_for_turn(const PlainCall& call, Descriptor& directory, const char* name,
                   Descriptor& control) {
  handover.arrived_ns = now_ns(kMonotonic);
  struct statfs system;
  if ((call.lock && call.below_a_call) ||
      kernel(__NR_fstatfs, control.get(), address(&system)) != 0 ||
      layout::is_remote(static_cast<uint32_t>(system.f_type))) {
    return false;
  }
  if (call.lock) {
    // Not under the mutex: others can go on meanwhile. So we arrive once more.
    kernel(__NR_flock, control.get(), kUnlock);
    if (!note_ancestors() || !take_mutex(control.get())) return false;
  }

  Look look;
  if (!look_around(control.get(), ~0ULL, look) || head.header.closed != 0 ||
      head.header.stored_max != 0 || look.holders > 1) {
    return false;
  }
  if (call.lock && look.holder != kNone && may_be_above(control.get(), look.holder)) return false;
  const bool free = look.before == kNone && look.holder == kNone;
  const uint32_t index = look.free;
  struct stat status;
  if (layout::shard_of(index) > 1 || !look_at(control.get(), status) ||
      status.st_size < static_cast<long>(layout::file_bytes(index + 1))) {
    return false;
  }
  Files files(directory, name, control);
  const int fd = files.of(index);
  if (fd < 0 || (!call.lock && !ring_at_death(control.get()))) return false;
  const uint64_t ticket = draw_number();

  block_signals();
  catch_signals();
  int hold = -1;
  if (!free) {
    const int64_t longest = longest_wait(call);
    const int64_t deadline = longest > 0 ? handover.arrived_ns + longest : 0;
    set_entry(index, ticket, EntryState::waiting);
    if (!set_byte(fd, F_WRLCK, layout::kWaitByte + ticket) || !write_entry(control.get(), index) ||
        !write_info(control.get(), call, index)) {
      // Whatever was written is dead without W.
      set_byte(fd, F_UNLCK, layout::kWaitByte + ticket);
      files.close(hold);
      restore_signals();
      unblock_signals();
      return false;
    }
    place.fd = fd;
    place.ticket = ticket;
    hold = files.open_hold(index);
    Turn turn = Turn::not_yet;
    while (turn == Turn::not_yet) turn = check(control.get(), files, index, ticket, deadline);
    if (turn == Turn::unclear) return leave_it_to_main(files, index, ticket, hold);
  } else {
    hold = files.open_hold(index);
  }

  const int64_t waited = free ? 0 : now_ns(kMonotonic) - handover.arrived_ns;
  if (!admit(control.get(), fd, hold, index, ticket, waited, call)) {
    if (!free) return leave_it_to_main(files, index, ticket, hold);
    files.close(hold);
    restore_signals();
    unblock_signals();
    return false;
  }
  handover.fence = head.entries[index].fence;
  handover.slot = 0;
  handover.waited_ns = waited;
  hand_over(files, index, ticket, hold);
  handover.admitted = true;
  return true;
}

void leave_place() {
  if (place.fd > 0) set_byte(place.fd, F_UNLCK, layout::kWaitByte + place.ticket);
  place.fd = 0;
}

}  // namespace cachify::quick

asm(R"(
  .text
  .globl cachify_signal_return
  .type cachify_signal_return, @function
cachify_signal_return:
  mov $15, %eax
  syscall
  .size cachify_signal_return, . - cachify_signal_return
)");

#include "quick/first_slot.h"

#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/time.h>
#include <linux/utsname.h>

#include "quick/first_command.h"
#include "quick/handover.h"
#include "quick/head.h"
#include "quick/kernel.h"
#include "quick/signals.h"
#include "store/file/layout.h"

namespace cachify::quick {

namespace {

namespace layout = store::file;
using layout::Entry;
using layout::EntryState;
using layout::Header;
using layout::Info;

constexpr unsigned kWritableByOthers = 0022;
constexpr unsigned kTypeMask = 0170000;  // <linux/stat.h> leaves these to libc
constexpr unsigned kRegularFile = 0100000;
constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

// The directory that Directory::open would use, when there is nothing to make or to refuse.
int open_directory(const PlainCall& call) {
  static Text<512> path;
  path.clear();
  const char* named = call.store != nullptr ? behind(call.store, "file:") : "";
  if (named == nullptr) return -1;
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  if (*named != '\0') {
    if (const char* rest = behind(named, "//")) {
      if (*rest != '/') return -1;
      named = rest;
    }
    return static_cast<int>(kernel(__NR_openat, AT_FDCWD, address(named), flags));
  }
  const long user = kernel(__NR_geteuid);
  path.add("/run/lock/cachify-").add_number(static_cast<uint64_t>(user), 10);
  Descriptor directory(kernel(__NR_openat, AT_FDCWD, address(path.c_str()), flags | O_NOFOLLOW));
  struct stat status;
  if (!directory.usable() || !look_at(directory.get(), status)) return -1;
  if (status.st_uid != user || (status.st_mode & kWritableByOthers) != 0) return -1;
  return directory.keep();
}

// As file_name() of store/file/directory.h; the key is short and has only visible characters.
const char* file_name(const PlainCall& call) {
  static Text<256> name;
  name.clear();
  name.add(call.lock ? "lock." : "pool.").add("cachify%3A");
  for (const char* c = call.key; *c != '\0'; ++c) {
    const bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
    if (letter || (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' || *c == '-') {
      name.add(*c);
    } else {
      const auto byte = static_cast<unsigned char>(*c);
      name.add('%').add("0123456789ABCDEF"[byte >> 4U]).add("0123456789ABCDEF"[byte & 15U]);
    }
  }
  return name.ok() ? name.c_str() : nullptr;
}

struct Place {
  uint32_t index;
  uint32_t slot;
};

// Entries of the dead count as well: they do no harm as long as there is room all the same.
bool find_place(const PlainCall& call, Place& place) {
  if (head.header.stored_max != 0 || head.header.closed != 0) return false;
  uint64_t taken = 0;  // one bit for each slot
  uint32_t used = 0;
  place.index = head.header.high_water;
  for (uint32_t i = head.header.high_water; i-- > 0;) {
    const Entry& entry = head.entries[i];
    if (entry.state == EntryState::free && entry.ticket == 0 && entry.checksum == 0) {
      place.index = i;
      continue;
    }
    if (entry.state != EntryState::holding || entry.checksum != layout::checksum_of(entry) ||
        entry.ticket > head.header.next || entry.expires != 0 || entry.weight != 1 ||
        entry.slot >= 64 || call.lock) {
      return false;
    }
    taken |= 1ULL << entry.slot;
    ++used;
  }
  if (used >= call.max || place.index >= layout::kFirstEntries) return false;
  place.slot = static_cast<uint32_t>(__builtin_ctzll(~taken));
  return true;
}

uint64_t draw() {
  struct timespec now;
  kernel(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, address(&now));
  const auto us =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
  uint64_t& next = head.header.next;
  next = next + 1 > us ? next + 1 : us;
  return next;
}

void copy_text(char* to, size_t size, const char* from) {
  size_t n = 0;
  for (; n + 1 < size && from[n] != '\0'; ++n) to[n] = from[n];
  to[n] = '\0';
}

bool write_info(int fd, const PlainCall& call, uint32_t index) {
  static Info info;
  static struct new_utsname names;
  static Text<sizeof info.command> command;
  info.pid = static_cast<uint32_t>(kernel(__NR_getpid));
  info.process = info.pid;
  info.uid = static_cast<uint32_t>(kernel(__NR_geteuid));
  struct stat space;
  const bool known = kernel(__NR_stat, address("/proc/self/ns/pid"), address(&space)) == 0;
  info.pid_namespace = known ? space.st_ino : 0;
  struct timespec now;
  kernel(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, address(&now));
  info.since_us = now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
  if (kernel(__NR_uname, address(&names)) == 0) {
    copy_text(info.host, sizeof info.host, names.nodename);
  }
  command.clear();
  for (char** word = call.command; *word != nullptr; ++word) {
    if (word != call.command) command.add(' ');
    command.add(*word);
  }
  copy_text(info.command, sizeof info.command, command.c_str());
  return kernel(__NR_pwrite64, fd, address(&info), sizeof info,
                static_cast<long>(layout::info_offset(index))) == sizeof info;
}

// Enters us into the head, not yet into the file.
void enter(const Place& place, const PlainCall& call) {
  Entry& entry = head.entries[place.index];
  entry.ticket = draw();
  entry.fence = draw();
  entry.expires = 0;
  entry.expiry = 0;
  entry.slot = place.slot;
  entry.count = 1;
  entry.primary = place.index;
  entry.max = call.max;
  entry.priority = 0;
  entry.state = EntryState::holding;
  entry.shared = 0;
  entry.ending = 0;
  entry.weight = 1;
  entry.checksum = layout::checksum_of(entry);
  if (head.header.high_water <= place.index) head.header.high_water = place.index + 1;
  ++head.header.counters.admitted;
}

// D1: the kernel rings the bell of a pool when this process dies. As store/file/bell.cpp does it.
bool ring_at_death(int fd) {
  constexpr long kReadWrite = 3, kShared = 1, kPage = static_cast<long>(layout::kPage);
  const long page = kernel(__NR_mmap, 0, kPage, kReadWrite, kShared, fd, 0);
  if (page < 0 && page > -4096) return false;
  handover.bell = reinterpret_cast<unsigned*>(page + static_cast<long>(offsetof(Header, bell)));
  robust.list.next = &robust.list;
  robust.futex_offset = 0;
  robust.list_op_pending = reinterpret_cast<robust_list*>(handover.bell);
  return kernel(__NR_set_robust_list, address(&robust), sizeof robust) == 0;
}

}  // namespace

bool take_first_slot(const PlainCall& call) {
  Descriptor directory(open_directory(call));
  const char* name = file_name(call);
  if (!directory.usable() || name == nullptr) return false;
  Descriptor control(kernel(__NR_openat, directory.get(), address(name), kFlags));
  if (!control.usable()) return false;
  if (!take_mutex(control.get())) return false;
  struct stat status;
  if (!look_at(control.get(), status) || status.st_nlink != 1 ||
      (status.st_mode & kTypeMask) != kRegularFile ||
      status.st_size < static_cast<long>(layout::file_bytes(0))) {
    return false;
  }
  Place place;
  if (!read_head(control.get()) || !find_place(call, place)) return false;

  enter(place, call);
  const Entry& entry = head.entries[place.index];
  Descriptor hold(kernel(__NR_openat, directory.get(), address(name), kFlags));
  struct stat same_file;
  if (!hold.usable() || !look_at(hold.get(), same_file) || same_file.st_ino != status.st_ino ||
      same_file.st_dev != status.st_dev) {
    return false;
  }
  if (!call.lock && !ring_at_death(control.get())) return false;
  // From the moment at which others can see us: a poke that came before would be lost.
  block_signals();
  if (!set_byte(control.get(), F_WRLCK, layout::kLifeByte + entry.ticket) ||
      !set_byte(hold.get(), F_WRLCK, layout::kHoldByte + entry.ticket) ||
      !write_info(control.get(), call, place.index) ||
      !write_head(control.get(), head.header.high_water)) {
    unblock_signals();
    return false;
  }
  kernel(__NR_flock, control.get(), kUnlock);

  handover.ticket = entry.ticket;
  handover.fence = entry.fence;
  handover.index = place.index;
  handover.slot = place.slot;
  handover.directory_fd = directory.keep();
  handover.control_fd = control.keep();
  handover.hold_fd = hold.keep();
  handover.admitted = true;
  reset_child_signal();
  return true;
}

}  // namespace cachify::quick

#include "quick/first_slot.h"

#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/futex.h>

#include "quick/first_steps.h"
#include "quick/first_wait.h"
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
    if (is_free(entry)) {
      place.index = i;
      continue;
    }
    if (entry.state != EntryState::holding || !is_sound(entry) || entry.expires != 0 ||
        entry.weight != 1 || entry.slot >= 64 || call.lock) {
      return false;
    }
    taken |= 1ULL << entry.slot;
    ++used;
  }
  if (used >= call.max || place.index >= layout::kFirstEntries) return false;
  place.slot = static_cast<uint32_t>(__builtin_ctzll(~taken));
  return true;
}

// Enters us into the head, not yet into the file.
void enter(const Place& place, const PlainCall& call) {
  Entry& entry = head.entries[place.index];
  entry.ticket = draw_number();
  entry.fence = draw_number();
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
  if (!read_head(control.get())) return false;
  Place place;
  if (!find_place(call, place)) {
    if (!call.waits || call.max != 1) return false;
    if (!wait_for_turn(call, directory, name, control)) return false;
    default_child_signal();
    return true;
  }

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
  default_child_signal();
  return true;
}

}  // namespace cachify::quick

#include "store/file/state_file.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "store/file/info.h"
#include "store/file/locks.h"
#include "store/file/sweep.h"
#include "util/errno_text.h"
#include "util/files.h"
#include "util/text.h"

namespace cachify::store::file {

namespace {

constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
constexpr util::Duration kMutexPatience = std::chrono::seconds(10);
constexpr util::Duration kIdle = std::chrono::hours(24);

bool all_zero(const Header& header) {
  static constexpr Header kZero{};
  return std::memcmp(&header, &kZero, sizeof header) == 0;
}

bool is_sound(const Entry& entry, const Header& header) {
  static constexpr Entry kFree{};
  if (entry.state == EntryState::free) return std::memcmp(&entry, &kFree, sizeof entry) == 0;
  // Of an extra the holder may be gone already, and the table shorter for it.
  return entry.checksum == checksum_of(entry) && entry.state <= EntryState::dismissed &&
         entry.ticket != 0 && entry.ticket <= header.next &&
         (entry.primary < header.high_water || entry.state == EntryState::extra);
}

}  // namespace

StateFile::StateFile(const Directory& directory, Kind kind, std::string prefixed_key)
    : directory_(directory), key_(std::move(prefixed_key)), name_(file_name(kind, key_)) {}

void StateFile::fail(const char* doing) const {
  const int error = errno;
  throw StoreError(
      std::string("cannot ") + doing + " " + directory_.path() + "/" + name_.name + ": " +
      util::errno_text(error) + advice_on(error) +
      (error == EACCES ? "; man cachify-stores says how users share a directory" : ""));
}

bool StateFile::open(Access access) {
  mode_ = access == Access::read_only ? O_RDONLY : O_RDWR;
  for (;;) {
    // Without O_CREAT first: a directory with the sticky bit forbids it for somebody else's file.
    control_ = util::open_above_stdio(directory_.fd(), name_.name.c_str(), mode_ | kOpenFlags);
    if (control_) return true;
    if (errno == ENOENT) {
      if (access != Access::create) return false;
      control_ =
          util::open_above_stdio(directory_.fd(), name_.name.c_str(),
                                 mode_ | O_CREAT | O_EXCL | kOpenFlags, directory_.file_mode());
      if (control_) {
        tidy_up_now_and_then();
        return true;
      }
      if (errno == EEXIST || (errno == ENOSPC && sweep(directory_, {}))) continue;
    }
    fail("open");
  }
}

// A new key is the occasion to delete old ones, at a cost that stays small beside making it.
void StateFile::tidy_up_now_and_then() {
  if (::getpid() % 16 == 0) sweep(directory_, kIdle);
}

bool StateFile::take_mutex(int operation, Wait wait) {
  if (::flock(control_.get(), operation | LOCK_NB) == 0) return true;
  const util::MonotonicTime give_up = util::monotonic_now() + kMutexPatience;
  const util::MonotonicTime until = std::min(wait.until.value_or(give_up), give_up);
  std::optional<run::Interrupts> own;
  if (wait.interrupts == nullptr) wait.interrupts = run::Interrupts::current();
  run::Interrupts& interrupts = wait.interrupts != nullptr ? *wait.interrupts : own.emplace();
  while (errno == EWOULDBLOCK || errno == EINTR) {
    if (wait.until_signal && interrupts.caught()) return false;
    const util::MonotonicTime now = util::monotonic_now();
    if (wait.until && now >= *wait.until) return false;
    if (now >= give_up) {
      throw StoreError("the state file " + directory_.path() + "/" + name_.name +
                       " has been locked for 10 s; is one of its callers stopped?");
    }
    run::Interrupts::Window window(interrupts, until);
    if (::flock(control_.get(), operation) == 0) return true;
  }
  fail("lock");
}

void StateFile::adopt(util::UniqueFd control, util::UniqueFd first_shard) {
  control_ = std::move(control);
  if (first_shard) shards_.push_back(std::move(first_shard));
  mode_ = O_RDWR;
  if (::fstat(control_.get(), &status_) != 0) fail("look at");
}

StateFile::Locking StateFile::lock(Access access, Wait wait, bool first_only) {
  reopened_ = false;
  for (;;) {
    if (!control_ && !open(access)) return Locking::no_such_key;
    if (!take_mutex(access == Access::read_only ? LOCK_SH : LOCK_EX, wait))
      return Locking::given_up;
    if (::fstat(control_.get(), &status_) != 0) fail("look at");
    if (status_.st_nlink > 0) break;
    // Deleted by somebody who had the mutex before us: what we locked is nobody's any more.
    control_.reset();
    shards_.clear();
    reopened_ = true;
  }
  locked_ = true;
  if (!S_ISREG(status_.st_mode)) {
    throw StoreError(directory_.path() + "/" + name_.name +
                     " is not a regular file; remove it to use this key");
  }
  // Ours have one name. A second one can be somebody's way to have us write to another file.
  if (status_.st_nlink > 1) {
    throw StoreError(directory_.path() + "/" + name_.name +
                     " has another name as well (a hard link); remove it to use this key");
  }
  read(first_only);
  return Locking::locked;
}

void StateFile::unlock() {
  if (!locked_) return;
  locked_ = false;
  ::flock(control_.get(), LOCK_UN);
}

void StateFile::read(bool first_only) {
  Head head{};
  if (util::read_at(control_.get(), &head, sizeof head, 0) < 0) fail("read");
  table_.clean();
  table_.header = head.header;
  table_.entries.clear();
  if (all_zero(head.header)) {
    start_again_if_nobody_lives("is empty");
    return;
  }
  if (head.header.magic != kMagic) {
    throw StoreError(
        directory_.path() + "/" + name_.name +
        " is not a state file of this version of cachify; remove it when nobody uses it");
  }
  if (!is_sound(head)) {
    refuse_damaged("is damaged");
    return;
  }
  const uint32_t count = head.header.high_water;
  // Behind the head there is nothing that a small table needs, but for the key of a hashed name.
  const bool all_in_head = count <= kFirstEntries && !name_.hashed;
  if (count > kMaxEntries ||
      (!all_in_head && status_.st_size < static_cast<off_t>(file_bytes(count)))) {
    refuse_damaged("was truncated");
    return;
  }
  table_.entries.assign(head.entries, head.entries + std::min(count, kFirstEntries));
  if (first_only) return;
  table_.entries.resize(count);
  for (uint32_t i = kFirstEntries; i < count; i += kBlockEntries) {
    const size_t bytes = std::min(kBlockEntries, count - i) * sizeof(Entry);
    if (util::read_at(control_.get(), &table_.entries[i], bytes,
                      static_cast<off_t>(entry_offset(i))) != static_cast<ssize_t>(bytes)) {
      fail("read");
    }
  }
  if (!entries_are_sound()) {
    refuse_damaged("is damaged");
    return;
  }
  // Extras are written before their holder and cleared after it; one alone is a crash's leftover.
  table_.drop_stray_extras();
  if (name_.hashed) check_key_text();
}

bool StateFile::entries_are_sound() const {
  return std::all_of(table_.entries.begin(), table_.entries.end(),
                     [this](const Entry& entry) { return is_sound(entry, table_.header); });
}

// By the wall clock, as the file's time is.
bool StateFile::is_from_before_boot() const {
  const int64_t written_us = status_.st_mtim.tv_sec * 1'000'000 + status_.st_mtim.tv_nsec / 1000;
  return written_us < util::realtime_us() - util::boottime_ns() / 1000;
}

StoreError StateFile::bad(const std::string& what_is_wrong, const char* what_to_do) const {
  return StoreError("the state file of " + util::quoted(key_) + ", " + path_of_shard(0) + ", " +
                    what_is_wrong + what_to_do);
}

void StateFile::refuse_damaged(const char* what_is_wrong) {
  if (is_from_before_boot()) {
    start_again_if_nobody_lives(what_is_wrong);
    return;
  }
  throw bad(what_is_wrong, "; remove it when nobody uses this key");
}

void StateFile::start_again_if_nobody_lives(const char* what_is_wrong) {
  // Whoever holds a slot or waits for one has a lock byte, whatever became of the table.
  for (uint32_t number = 0; number <= shard_of(kMaxEntries); ++number) {
    const int fd = existing_shard(number);
    if (fd < 0) break;
    if (any_byte_is_locked(fd, kWaitByte, (kHoldByte - kWaitByte) + (1ULL << 60U))) {
      throw bad(what_is_wrong, " while callers still depend on it; it heals when they have ended");
    }
  }
  initialise();
}

void StateFile::initialise() {
  table_.entries.clear();
  table_.clean();
  table_.header = Header{};
  if (mode_ == O_RDONLY) return;  // a look changes nothing
  table_.header.magic = kMagic;
  table_.header.created_us = util::realtime_us();
  if (::ftruncate(control_.get(), 0) != 0 ||
      ::ftruncate(control_.get(), static_cast<off_t>(file_bytes(0))) != 0) {
    fail("write");
  }
  status_.st_size = static_cast<off_t>(file_bytes(0));
  if (name_.hashed && !util::write_at(control_.get(), key_.data(), key_.size(), kKeyTextOffset)) {
    fail("write");
  }
  table_.header.checksum = checksum_of(table_.header, nullptr);
  const auto write = [this] {
    return util::write_at(control_.get(), &table_.header, sizeof table_.header, 0);
  };
  if (write()) return;
  if (errno != ENOSPC || !sweep(directory_, {}) || !write()) fail("write");
}

void StateFile::check_key_text() {
  std::string text(kPage, '\0');
  if (util::read_at(control_.get(), text.data(), text.size(), kKeyTextOffset) < 0) fail("read");
  text.resize(std::strlen(text.c_str()));
  if (text != key_) {
    throw StoreError(
        directory_.path() + "/" + name_.name +
        " belongs to another key with the same hash; choose another name for one of them");
  }
}

void StateFile::commit() {
  Table& table = table_;
  auto& header = table.header;
  while (header.high_water > 0 && table.entries[header.high_water - 1].state == EntryState::free) {
    --header.high_water;
  }
  const auto needed = static_cast<off_t>(file_bytes(static_cast<uint32_t>(table.entries.size())));
  if (status_.st_size < needed) {
    if (::ftruncate(control_.get(), needed) != 0) fail("write");
    status_.st_size = needed;
  }
  write_first(std::min<size_t>(table.entries.size(), kFirstEntries));
  for (const uint32_t index : table.dirty()) {
    if (index >= kFirstEntries &&
        !util::write_at(control_.get(), &table.entries[index], sizeof(Entry),
                        static_cast<off_t>(entry_offset(index)))) {
      fail("write");
    }
  }
  table.clean();
}

// Header and first entries in one write. The drawn number must be there before an entry that
// carries it; within one write they appear together.
void StateFile::write_first(size_t entries) {
  Head head{};
  std::copy_n(table_.entries.begin(), std::min(table_.entries.size(), entries), head.entries);
  Header& header = table_.header;
  header.checksum = checksum_of(header, head.entries);
  head.header = header;
  if (!util::write_at(control_.get(), &head, sizeof(Header) + entries * sizeof(Entry), 0)) {
    fail("write");
  }
}

Entry StateFile::entry_alone(uint32_t index) {
  if (index < table_.entries.size()) return table_.entries[index];
  Entry entry{};
  if (index < table_.header.high_water &&
      util::read_at(control_.get(), &entry, sizeof entry, static_cast<off_t>(entry_offset(index))) <
          0) {
    fail("read");
  }
  return is_sound(entry, table_.header) ? entry : Entry{};
}

void StateFile::clear_alone(uint32_t index) {
  static constexpr Entry kFree{};
  if (index < table_.entries.size()) {
    table_.entries[index] = kFree;
  } else if (!util::write_at(control_.get(), &kFree, sizeof kFree,
                             static_cast<off_t>(entry_offset(index)))) {
    fail("write");
  }
  uint32_t& high_water = table_.header.high_water;
  const uint32_t written = std::min(high_water, kFirstEntries);
  while (high_water > 0 && high_water <= table_.entries.size() &&
         table_.entries[high_water - 1].state == EntryState::free) {
    --high_water;
  }
  write_first(written);
}

std::optional<Entry> StateFile::peek(uint32_t index) const {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    Entry entry{};
    if (util::read_at(control_.get(), &entry, sizeof entry,
                      static_cast<off_t>(entry_offset(index))) != sizeof entry) {
      return std::nullopt;
    }
    static constexpr Entry kFree{};
    if (std::memcmp(&entry, &kFree, sizeof entry) == 0) return kFree;
    if (entry.checksum == checksum_of(entry)) return entry;
    ::sched_yield();  // it is being written
  }
  return std::nullopt;
}

void StateFile::write_info(uint32_t index, const Info& info) {
  if (!util::write_at(control_.get(), &info, sizeof info, static_cast<off_t>(info_offset(index)))) {
    fail("write");
  }
}

Info StateFile::read_info(uint32_t index) {
  Info info{};
  if (util::read_at(control_.get(), &info, sizeof info, static_cast<off_t>(info_offset(index))) <
      0) {
    fail("read");
  }
  close_texts(info);
  return info;
}

std::vector<Info> StateFile::read_infos() {
  const auto count = static_cast<uint32_t>(table_.entries.size());
  std::vector<Info> infos(count);
  for (uint32_t i = 0; i < count;) {
    const uint32_t block = i < kFirstEntries ? kFirstEntries : kBlockEntries;
    const uint32_t part = std::min(block, count - i);
    if (util::read_at(control_.get(), &infos[i], part * sizeof(Info),
                      static_cast<off_t>(info_offset(i))) < 0) {
      fail("read");
    }
    i += part;
  }
  std::for_each(infos.begin(), infos.end(), close_texts);
  return infos;
}

std::string StateFile::shard_name(uint32_t number) const {
  return number == 0 ? name_.name : name_.name + "~" + std::to_string(number);
}

std::string StateFile::path_of_shard(uint32_t index) const {
  return directory_.path() + "/" + shard_name(shard_of(index));
}

int StateFile::existing_shard(uint32_t number) {
  if (number == 0) return control_.get();
  if (shards_.size() < number) shards_.resize(number);
  util::UniqueFd& fd = shards_[number - 1];
  if (fd) return fd.get();
  for (bool first_try = true;; first_try = false) {
    fd = util::open_above_stdio(directory_.fd(), shard_name(number).c_str(), mode_ | kOpenFlags);
    if (fd || errno == ENOENT) return fd.get();
    if (errno != EMFILE || !first_try) fail("open a shard of");
    for (uint32_t i = 0; i < shards_.size(); ++i) {
      if (i + 1 != pinned_shard_) shards_[i].reset();
    }
  }
}

int StateFile::shard(uint32_t index) {
  const uint32_t number = shard_of(index);
  const int fd = existing_shard(number);
  if (fd >= 0) return fd;
  // All the lower ones first, also where only extra entries lie, which lock nothing: who asks
  // whether anybody lives stops at the first shard that is not there.
  for (uint32_t lower = 1; lower <= number; ++lower) {
    if (existing_shard(lower) < 0) make_shard(lower);
  }
  return existing_shard(number);
}

void StateFile::make_shard(uint32_t number) {
  shards_[number - 1] =
      util::open_above_stdio(directory_.fd(), shard_name(number).c_str(),
                             O_RDWR | O_CREAT | kOpenFlags, directory_.file_mode());
  if (!shards_[number - 1]) fail("make a shard of");
}

util::UniqueFd StateFile::open_hold(uint32_t index) {
  util::UniqueFd hold = util::open_above_stdio(directory_.fd(), shard_name(shard_of(index)).c_str(),
                                               O_RDWR | kOpenFlags);
  if (!hold) fail("open");
  struct stat status {};
  struct stat control {};
  if (::fstat(hold.get(), &status) != 0 || ::fstat(shard(index), &control) != 0) fail("look at");
  if (status.st_ino != control.st_ino || status.st_dev != control.st_dev) {
    throw StoreError(directory_.path() + "/" + name_.name +
                     " was replaced by somebody else; try again");
  }
  return hold;
}

bool StateFile::waits(uint32_t index, uint64_t ticket) {
  const int fd = existing_shard(shard_of(index));
  return fd >= 0 && byte_is_locked(fd, kWaitByte + ticket);
}

bool StateFile::lives(uint32_t index, uint64_t ticket) {
  const int fd = existing_shard(shard_of(index));
  return fd >= 0 && byte_is_locked(fd, kLifeByte + ticket);
}

bool StateFile::holds(uint32_t index, uint64_t ticket) {
  const int fd = existing_shard(shard_of(index));
  return fd >= 0 && byte_is_locked(fd, kHoldByte + ticket);
}

}  // namespace cachify::store::file

#include "store/file/maps_file.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <utility>

#include "errors.h"
#include "run/interrupts.h"
#include "store/file/file_system.h"
#include "store/file/info.h"
#include "store/file/layout.h"
#include "store/file/locks.h"
#include "store/file/poke.h"
#include "util/errno_text.h"
#include "util/files.h"
#include "util/log.h"
#include "util/process.h"

namespace cachify::store::file {

namespace {

constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
constexpr std::string_view kSuffix = "~m";
constexpr uint64_t kMapMagic = 0x016d796669686361U;  // "achifym" and 1, little endian
// More maps of one pool than these are not shown.
constexpr uint32_t kMostRecords = 1024;
constexpr util::Duration kPause = std::chrono::milliseconds(100);  // one pwrite(2) each
constexpr util::Duration kEntryPause = std::chrono::seconds(1);
constexpr util::Duration kLongPause = std::chrono::seconds(60);  // after what will not pass soon

// One map. Written whole by one pwrite(2) within one page, by its owner alone.
struct Record {
  uint64_t magic;
  int64_t queued;
  int64_t running;
  int64_t done;
  int64_t failed;
  int64_t idle;
  Info info;
  uint8_t reserved[204];
  uint32_t checksum;  // over all before it
};
static_assert(sizeof(Record) == 512 && kPage % sizeof(Record) == 0);

uint32_t checksum_of(const Record& record) {
  return file::checksum_of(&record, offsetof(Record, checksum));
}

bool is_sound(const Record& record) {
  return record.magic == kMapMagic && record.checksum == checksum_of(record);
}

constexpr off_t offset_of(uint32_t index) {
  return static_cast<off_t>(index * sizeof(Record));
}

// Of the record's owner, who lives as long as it is locked.
constexpr uint64_t byte_of(uint32_t index) {
  return kLifeByte + index;
}

std::string name_of(const std::string& prefixed_key) {
  return file_name(Kind::pool, prefixed_key).name + std::string(kSuffix);
}

// What of the state file tells that somebody may have come to wait, or that somebody STEERed.
// Looked at without the mutex: should the read be torn, it or the next one differs from the last.
class Headlines {
 public:
  Headlines(const Directory& directory, std::string name)
      : directory_(directory), name_(std::move(name)) {}

  MapRecord::News news() {
    struct stat status {};
    if (!file_ || ::fstat(file_.get(), &status) != 0 || status.st_nlink == 0) open();
    Header header{};
    if (!file_ || util::read_at(file_.get(), &header, sizeof header, 0) != sizeof header) {
      seen_.reset();
      return MapRecord::News::unheard;
    }
    const Seen now{header.stored_max, header.closed, header.next};
    const std::optional<Seen> before = std::exchange(seen_, now);
    if (before && *before == now) return MapRecord::News::none;
    const bool arrival = before && before->max == now.max && before->closed == now.closed;
    return arrival ? MapRecord::News::arrival : MapRecord::News::change;
  }

 private:
  // What other hosts write may be read late without their locks.
  void open() {
    file_ = util::open_above_stdio(directory_.fd(), name_.c_str(), O_RDONLY | kOpenFlags);
    if (file_ && !wakes_sleepers(file_.get())) file_.reset();
  }

  struct Seen {
    uint32_t max;
    uint32_t closed;
    uint64_t next;  // with each ticket and each fence
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  const Directory& directory_;
  const std::string name_;
  util::UniqueFd file_;
  std::optional<Seen> seen_;
};

// A regular file without a second name, by which we could be made to write to somebody else's.
bool is_ours(const struct stat& status) {
  return S_ISREG(status.st_mode) && status.st_nlink <= 1;
}

uint32_t records_in(const struct stat& status) {
  constexpr auto kRecord = static_cast<off_t>(sizeof(Record));
  return static_cast<uint32_t>(std::min<off_t>(status.st_size / kRecord, kMostRecords));
}

// Nobody has it for longer than an instant, but who does may have been stopped: we go on without.
bool lock_briefly(int fd) {
  constexpr int kTries = 20;
  for (int i = 0; i < kTries; ++i) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    ::usleep(200);
  }
  return false;
}

class FileMapRecord : public MapRecord {
 public:
  FileMapRecord(const Directory& directory, const std::string& prefixed_key, const Who& who)
      : directory_(directory),
        name_(name_of(prefixed_key)),
        info_(info_of(who, util::pid_namespace(), util::realtime_us())),
        headlines_(directory, file_name(Kind::pool, prefixed_key).name) {}

  ~FileMapRecord() override {
    if (fd_) leave();
  }
  FileMapRecord(const FileMapRecord&) = delete;
  FileMapRecord& operator=(const FileMapRecord&) = delete;

  void update(const MapFigures& figures) noexcept override {
    if (shown_ && figures == *shown_) {
      wanted_ = false;
      return;
    }
    wanted_ = true;
    const util::MonotonicTime now = util::monotonic_now();
    if (now < next_) return;
    next_ = now + kEntryPause;
    try {
      if (!fd_ && !enter()) return;
      next_ = now + kPause;
      write(figures);
      shown_ = figures;
      wanted_ = false;
    } catch (const std::exception& error) {
      next_ = now + kLongPause;
      say(error.what());
    }
  }

  std::optional<util::MonotonicTime> next_update() const noexcept override {
    if (!wanted_) return std::nullopt;
    return next_;
  }

  News news() noexcept override {
    try {
      return headlines_.news();
    } catch (const std::exception&) {
      return News::unheard;  // no descriptor is left
    }
  }

 private:
  // Finds a record that nobody has. False: not now.
  bool enter() {
    for (;;) {
      util::UniqueFd fd =
          util::open_above_stdio(directory_.fd(), name_.c_str(), O_RDWR | kOpenFlags);
      if (!fd && errno == ENOENT) {
        fd = util::open_above_stdio(directory_.fd(), name_.c_str(),
                                    O_RDWR | O_CREAT | O_EXCL | kOpenFlags, directory_.file_mode());
        if (!fd && errno == EEXIST) continue;
      }
      if (!fd) fail("open");
      if (!lock_briefly(fd.get())) return false;
      struct stat status {};
      if (::fstat(fd.get(), &status) != 0) fail("look at");
      if (status.st_nlink == 0) continue;  // deleted since
      if (!is_ours(status)) throw StoreError(path() + " is not a file of cachify");
      Record first{};
      if (util::read_at(fd.get(), &first, sizeof first, 0) < 0) fail("read");
      if (first.magic != 0 && first.magic != kMapMagic) {
        throw StoreError(path() + " is not a file of cachify");
      }
      for (uint32_t index = 0; index < kMostRecords; ++index) {
        if (byte_is_locked(fd.get(), byte_of(index))) continue;
        // What a dead one has left goes before we live: it would pass for ours.
        static constexpr Record kNone{};
        if (!util::write_at(fd.get(), &kNone, sizeof kNone, offset_of(index))) fail("write");
        lock_byte(fd.get(), byte_of(index));
        ::flock(fd.get(), LOCK_UN);
        index_ = index;
        fd_ = std::move(fd);
        return true;
      }
      return false;
    }
  }

  void write(const MapFigures& figures) {
    Record record{};
    record.magic = kMapMagic;
    record.queued = figures.queued;
    record.running = figures.running;
    record.done = figures.done;
    record.failed = figures.failed;
    record.idle = figures.idle;
    record.info = info_;
    record.checksum = checksum_of(record);
    if (!util::write_at(fd_.get(), &record, sizeof record, offset_of(index_))) fail("write");
  }

  // The file goes with its last map.
  void leave() noexcept {
    try {
      unlock_byte(fd_.get(), byte_of(index_));
      fd_.reset();
      delete_dead_maps(directory_, name_);
    } catch (const std::exception& error) {
      say(error.what());
    }
  }

  void say(const char* text) noexcept {
    if (told_) return;
    told_ = true;
    try {
      util::explain(std::string("the figures of this map cannot be shown to others: ") + text);
    } catch (const std::bad_alloc&) {
      // Only words.
    }
  }

  std::string path() const { return directory_.path() + "/" + name_; }
  [[noreturn]] void fail(const char* doing) const {
    throw StoreError(std::string("cannot ") + doing + " " + path() + ": " +
                     util::errno_text(errno));
  }

  const Directory& directory_;
  const std::string name_;
  const Info info_;
  Headlines headlines_;
  util::UniqueFd fd_;  // has the byte; close-on-exec, so that no run of ours outlives us with it
  uint32_t index_ = 0;
  std::optional<MapFigures> shown_;
  bool wanted_ = false;  // there are others to be shown
  bool told_ = false;
  util::MonotonicTime next_{};
};

std::optional<Record> read_record(int fd, uint32_t index) {
  constexpr int kTries = 20;
  for (int i = 0; i < kTries; ++i) {
    Record record{};
    if (util::read_at(fd, &record, sizeof record, offset_of(index)) != sizeof record ||
        record.magic == 0) {
      return std::nullopt;  // it has not said anything yet
    }
    if (is_sound(record)) {
      close_texts(record.info);
      return record;
    }
    ::sched_yield();  // it is being written
  }
  return std::nullopt;
}

// Calls `visit` with the number and the record of each map that lives.
void each_map(int fd, const std::function<void(uint32_t, const Record&)>& visit) {
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0 || !is_ours(status)) return;
  // First whether it lives, then what it says: that is then its own.
  for (uint32_t index = 0; index < records_in(status); ++index) {
    if (!byte_is_locked(fd, byte_of(index))) continue;
    if (const auto record = read_record(fd, index)) visit(index, *record);
  }
}

util::UniqueFd open_to_read(const Directory& directory, const std::string& prefixed_key) {
  return util::open_above_stdio(directory.fd(), name_of(prefixed_key).c_str(),
                                O_RDONLY | kOpenFlags);
}

}  // namespace

std::unique_ptr<MapRecord> show_map(const Directory& directory, const std::string& prefixed_key,
                                    const Who& who) {
  return std::make_unique<FileMapRecord>(directory, prefixed_key, who);
}

std::vector<MapInfo> maps_of(const Directory& directory, const std::string& prefixed_key) {
  std::vector<MapInfo> maps;
  const util::UniqueFd fd = open_to_read(directory, prefixed_key);
  try {
    each_map(fd.get(), [&maps](uint32_t, const Record& record) {
      MapInfo map;
      map.figures = {record.queued, record.running, record.done, record.failed, record.idle};
      map.who = who_of(record.info);
      map.since_us = record.info.since_us;
      maps.push_back(std::move(map));
    });
  } catch (const StoreError&) {
    // Whoever cannot ask for locks is told so where that matters.
  }
  std::sort(maps.begin(), maps.end(),
            [](const MapInfo& a, const MapInfo& b) { return a.since_us < b.since_us; });
  return maps;
}

void poke_maps(const Directory& directory, const std::string& prefixed_key) noexcept {
  try {
    const util::UniqueFd fd = open_to_read(directory, prefixed_key);
    std::vector<Owner> owners;
    each_map(fd.get(), [&owners](uint32_t index, const Record& record) {
      owners.push_back({index, index, byte_of(0), record.info});
    });
    const int file = fd.get();
    signal_owners([file](const Owner&) { return file; }, owners, run::kPokeSignal);
  } catch (const std::exception&) {
    // Who was not poked finds out by itself.
  }
}

bool is_maps_file(std::string_view name) {
  return name.ends_with(kSuffix) &&
         is_state_file(Kind::pool, name.substr(0, name.size() - kSuffix.size()));
}

bool delete_dead_maps(const Directory& directory, const std::string& name) {
  const util::UniqueFd fd =
      util::open_above_stdio(directory.fd(), name.c_str(), O_RDWR | kOpenFlags);
  struct stat status {};
  // Whoever comes in between has to look, under this lock, whether the file is still there.
  if (!fd || !lock_briefly(fd.get()) || ::fstat(fd.get(), &status) != 0) return false;
  if (status.st_nlink != 1 || !S_ISREG(status.st_mode)) return false;
  uint64_t magic = 0;
  if (util::read_at(fd.get(), &magic, sizeof magic, 0) < 0 || (magic != 0 && magic != kMapMagic)) {
    return false;
  }
  if (any_byte_is_locked(fd.get(), byte_of(0), kMostRecords)) return false;
  return ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

}  // namespace cachify::store::file

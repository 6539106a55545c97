#include "resource/workshop.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "errors.h"
#include "util/errno_text.h"
#include "util/files.h"
#include "util/time.h"

namespace cachify::resource {

namespace {

constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
constexpr const char* kNameStart = "work.";
constexpr size_t kMostPrinted = 2 * kLongestHandle;
// Stands before the exit code: no line that a command prints as a handle can hold it.
constexpr char kEndMark = '\0';

std::string random_name() {
  unsigned char bytes[10];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw OsError("cannot draw a random name", errno);
  std::string name = kNameStart;
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4U];
    name += "0123456789abcdef"[byte & 15U];
  }
  return name;
}

// All that was printed, and a little more than may be.
std::string content_of(int fd) {
  std::string text(kMostPrinted, '\0');
  const ssize_t size = util::read_at(fd, text.data(), text.size(), 0);
  if (size < 0) throw OsError("cannot read what --create has printed", errno);
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace

// The inner shell is the user's text and nothing else; the outer one outlives it, whatever it does.
const char* const kCreateWrapper =
    "sh -c \"$1\"; code=$?; printf '\\000%s\\n' \"$code\"; exit \"$code\"";

Made made_of(const std::string& printed) {
  Made made;
  const size_t mark = printed.rfind(kEndMark);
  std::string text = printed.substr(0, mark);
  const bool ended = mark != std::string::npos;
  const bool succeeded = ended && printed.compare(mark + 1, std::string::npos, "0\n") == 0;
  // Killed on the way: a line counts when it is complete.
  if (!succeeded && (text.empty() || text.back() != '\n')) return made;
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (!is_handle(text)) return made;
  made.handle = text;
  made.result = ended && !succeeded ? Made::Result::failed : Made::Result::made;
  return made;
}

Workshop::Workshop(const store::Store& store)
    : path_(store.work_directory()), of_store_(!path_.empty()) {}

Workshop::~Workshop() {
  for (const Bench& bench : spare_) ::unlinkat(directory_.get(), bench.file.c_str(), 0);
}

int Workshop::directory() {
  if (!directory_) open_directory();
  return directory_.get();
}

void Workshop::open_directory() {
  if (of_store_) {
    directory_ =
        util::open_above_stdio(AT_FDCWD, path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!directory_)
      throw StoreError("cannot use the directory " + path_ + ": " + util::errno_text(errno));
    return;
  }
  // Outlives a restart of the machine, as the server does.
  path_ = "/var/tmp/cachify-" + std::to_string(::geteuid());
  if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST)
    throw StoreError("cannot make the directory " + path_ + ": " + util::errno_text(errno));
  directory_ = util::open_above_stdio(AT_FDCWD, path_.c_str(),
                                      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  struct stat status {};
  if (!directory_ || ::fstat(directory_.get(), &status) != 0)
    throw StoreError("cannot use the directory " + path_ + ": " + util::errno_text(errno));
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    directory_.reset();
    throw ConfigError("the directory " + path_ +
                      " belongs to somebody else or can be written to by others; remove it");
  }
  utsname names{};
  ::uname(&names);
  place_ = std::string(names.nodename) + ":" + std::to_string(status.st_dev) + ":" +
           std::to_string(status.st_ino);
}

bool Workshop::is_here(const Work& work) {
  directory();
  return work.place == place_;
}

Work Workshop::begin(int64_t until_us) {
  directory();
  if (drawn_ == spare_.size()) {
    if (::getpid() % 16 == 0) sweep();
    Bench bench;
    do {
      bench.file = random_name();
      bench.fd = util::open_above_stdio(directory(), bench.file.c_str(),
                                        O_RDWR | O_CREAT | O_EXCL | O_APPEND | kOpenFlags,
                                        of_store_ ? 0666 : 0600);
    } while (!bench.fd && errno == EEXIST);
    if (!bench.fd || ::flock(bench.fd.get(), LOCK_EX | LOCK_NB) != 0)
      throw StoreError("cannot make a file in " + path_ + ": " + util::errno_text(errno));
    spare_.push_back(std::move(bench));
  }
  return {place_, spare_[drawn_++].file, until_us};
}

void Workshop::commit() noexcept {
  const auto end = spare_.begin() + static_cast<std::ptrdiff_t>(drawn_);
  std::move(spare_.begin(), end, std::back_inserter(used_));
  spare_.erase(spare_.begin(), end);
  drawn_ = 0;
}

Progress Workshop::progress(const Work& work, int64_t now_us) {
  const bool late = now_us > work.until_us;
  const Progress unknown = late ? Progress::overdue : Progress::busy;
  if (!is_here(work)) return unknown;
  const util::UniqueFd fd =
      util::open_above_stdio(directory(), work.file.c_str(), O_RDONLY | kOpenFlags);
  if (!fd) return errno == ENOENT ? Progress::over : unknown;
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return Progress::over;
  // A daemon that the command has left behind may keep the lock for ever.
  if (late && content_of(fd.get()).find(kEndMark) != std::string::npos) return Progress::over;
  return unknown;
}

Made Workshop::made(const Work& work) {
  const util::UniqueFd fd =
      util::open_above_stdio(directory(), work.file.c_str(), O_RDONLY | kOpenFlags);
  return fd ? made_of(content_of(fd.get())) : Made{};
}

int Workshop::fd_of(const Work& work) const noexcept {
  for (const Bench& bench : used_)
    if (bench.file == work.file) return bench.fd.get();
  return -1;
}

Made Workshop::outcome_of(const Work& work) const {
  return made_of(content_of(fd_of(work)));
}

void Workshop::end(const Work& work) noexcept {
  const auto found = std::find_if(used_.begin(), used_.end(),
                                  [&](const Bench& bench) { return bench.file == work.file; });
  if (found == used_.end()) return;
  ::unlinkat(directory_.get(), found->file.c_str(), 0);
  ::flock(found->fd.get(), LOCK_UN);
  used_.erase(found);
}

void Workshop::discard(const Work& work) noexcept {
  if (work.place == place_) ::unlinkat(directory_.get(), work.file.c_str(), 0);
}

// Files of those who were killed before a catalogue named them: empty, and nobody's for a day.
void Workshop::sweep() const noexcept {
  constexpr int64_t kDay = 86400;
  const int fd = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> stream(::fdopendir(fd));
  if (!stream) {
    ::close(fd);
    return;
  }
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name.rfind(kNameStart, 0) != 0) continue;
    struct stat status {};
    if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || status.st_size != 0 ||
        status.st_mtim.tv_sec > util::realtime_us() / 1'000'000 - kDay) {
      continue;
    }
    const util::UniqueFd file =
        util::open_above_stdio(directory_.get(), name.c_str(), O_RDONLY | kOpenFlags);
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(directory_.get(), name.c_str(), 0);
  }
}

}  // namespace cachify::resource

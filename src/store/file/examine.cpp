#include "store/file/examine.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "errors.h"
#include "store/file/file_system.h"
#include "store/file/layout.h"
#include "store/file/locks.h"
#include "store/file/look.h"
#include "store/file/state_file.h"
#include "util/errno_text.h"
#include "util/files.h"
#include "util/process.h"

namespace cachify::store::file {

namespace {

using Grade = Finding::Grade;

constexpr const char* kElsewhere = "name a directory on another file system with --store file:DIR";

// A file of ours in the directory, for as long as it is needed.
class TrialFile {
 public:
  explicit TrialFile(const Directory& directory)
      : directory_(directory), name_(".examine-" + std::to_string(::getpid())) {
    ::unlinkat(directory_.fd(), name_.c_str(), 0);  // of a process that was killed
    fd_ = open(O_CREAT | O_EXCL);
  }
  ~TrialFile() {
    if (fd_) ::unlinkat(directory_.fd(), name_.c_str(), 0);
  }
  TrialFile(const TrialFile&) = delete;
  TrialFile& operator=(const TrialFile&) = delete;

  util::UniqueFd open(int more_flags = 0) const {
    return util::open_above_stdio(directory_.fd(), name_.c_str(), O_RDWR | O_CLOEXEC | more_flags,
                                  0600);
  }
  int fd() const { return fd_.get(); }

 private:
  const Directory& directory_;
  std::string name_;
  util::UniqueFd fd_;
};

class Examination {
 public:
  explicit Examination(const Directory& directory) : directory_(directory) {}

  std::vector<Finding> run() {
    rights();
    cleaning();
    space();
    {
      const TrialFile trial(directory_);
      if (trial.fd() < 0) {
        bad("no file can be made in " + directory_.path() + ": " + util::errno_text(errno),
            "give this user the right to write there, or name another one with --store file:DIR");
      } else {
        locks(trial);
        wake_ups(trial);
      }
    }
    watches();
    processes();
    clock();
    keys();
    return std::move(findings_);
  }

 private:
  void good(const std::string& text) { findings_.push_back({Grade::good, text, ""}); }
  void doubtful(const std::string& text, const std::string& advice) {
    findings_.push_back({Grade::doubtful, text, advice});
  }
  void bad(const std::string& text, const std::string& advice) {
    findings_.push_back({Grade::bad, text, advice});
  }

  void rights() {
    struct stat status {};
    if (::fstat(directory_.fd(), &status) != 0) {
      return bad("cannot look at " + directory_.path() + ": " + util::errno_text(errno),
                 kElsewhere);
    }
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(status.st_mode & 07777U));
    const std::string text = "directory " + directory_.path() + ": user " +
                             std::to_string(status.st_uid) + ", mode " + mode;
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
      doubtful(text + ": everybody can remove the files of slots that are held",
               "chmod o-w or chmod +t " + directory_.path());
    } else {
      good(text);
    }
  }

  // What cleans up there does not know of locks: a run longer than its age would lose its file.
  void cleaning() {
    const std::string& path = directory_.path();
    const bool temporary = path.rfind("/tmp/", 0) == 0 || path.rfind("/var/tmp/", 0) == 0;
    if (temporary && ::access("/run/systemd/system", F_OK) == 0) {
      doubtful(path +
                   " is a place where systemd-tmpfiles removes what is some days old, also the "
                   "file of a slot held for longer",
               "for long runs name a directory elsewhere with --store file:DIR");
    }
  }

  void space() {
    struct statvfs status {};
    if (::fstatvfs(directory_.fd(), &status) != 0) return;
    const uint64_t bytes = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
    const bool counts_files = status.f_files != 0;
    const std::string text =
        "space: " + std::to_string(bytes / 1024) + " KiB" +
        (counts_files ? ", " + std::to_string(status.f_favail) + " files" : "") + " left";
    constexpr uint64_t kLittle = 1U << 20U;
    constexpr uint64_t kFewFiles = 100;
    if (bytes < 4 * kPage || (counts_files && status.f_favail == 0)) {
      bad(text, "make room: a new key, or a pool of more holders, needs some");
    } else if (bytes < kLittle || (counts_files && status.f_favail < kFewFiles)) {
      doubtful(text, "make room: each key takes 8 KiB and more");
    } else {
      good(text);
    }
  }

  void locks(const TrialFile& trial) {
    const util::UniqueFd second = trial.open();
    try {
      constexpr uint64_t kByte = kHoldByte + 1;
      lock_byte(trial.fd(), kByte);
      const bool seen = second && byte_is_locked(second.get(), kByte);
      unlock_byte(trial.fd(), kByte);
      const bool freed = second && !byte_is_locked(second.get(), kByte);
      const bool taken = ::flock(trial.fd(), LOCK_EX | LOCK_NB) == 0;
      const bool refused = second && ::flock(second.get(), LOCK_EX | LOCK_NB) != 0;
      ::flock(trial.fd(), LOCK_UN);
      if (seen && freed && taken && refused) {
        good("locks: work");
      } else {
        bad("locks: two openers of a file do not see each other's", kElsewhere);
      }
    } catch (const StoreError& error) {
      bad("locks: " + std::string(error.what()), kElsewhere);
    }
  }

  void wake_ups(const TrialFile& trial) {
    if (!wakes_sleepers(trial.fd())) {
      return doubtful(
          "wake-ups: a network or user-space file system has none, so who waits looks several "
          "times "
          "a second; and whether other hosts see its locks is up to it",
          "for one host name a local directory, for several use a redis: store");
    }
    if (sleeper_is_woken(trial)) {
      good("wake-ups: work");
    } else {
      doubtful(
          "wake-ups: a sleeper was not woken through a shared file; who waits looks again "
          "each second",
          kElsewhere);
    }
  }

  // Another process sleeps on a mapping of the file, as the head of a queue does.
  static bool sleeper_is_woken(const TrialFile& trial) {
    if (::ftruncate(trial.fd(), static_cast<off_t>(kPage)) != 0) return false;
    const auto map = [](int fd) {
      return ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    };
    const util::UniqueFd second = trial.open();
    void* ours = map(trial.fd());
    void* theirs = second ? map(second.get()) : MAP_FAILED;
    bool woken = false;
    if (ours != MAP_FAILED && theirs != MAP_FAILED) {
      const pid_t sleeper = ::fork();
      if (sleeper == 0) {
        constexpr timespec kPatience{2, 0};
        const long result = ::syscall(SYS_futex, theirs, FUTEX_WAIT, 0, &kPatience, nullptr, 0);
        ::_exit(result == 0 ? 0 : 1);
      }
      for (int i = 0; sleeper > 0 && i < 2000 && !woken; ++i) {
        woken = ::syscall(SYS_futex, ours, FUTEX_WAKE, 1, nullptr, nullptr, 0) == 1;
        if (!woken) ::usleep(1000);
      }
      if (sleeper > 0) {
        if (!woken) ::kill(sleeper, SIGKILL);
        while (::waitpid(sleeper, nullptr, 0) < 0 && errno == EINTR) {
        }
      }
    }
    if (ours != MAP_FAILED) ::munmap(ours, kPage);
    if (theirs != MAP_FAILED) ::munmap(theirs, kPage);
    return woken;
  }

  void watches() {
    const util::UniqueFd fd(::inotify_init1(IN_CLOEXEC));
    if (fd) return good("file watches: to be had");
    doubtful("file watches: none left (" + util::errno_text(errno) +
                 "), so who waits behind a command whose cachify was killed looks several times a "
                 "second",
             "raise fs.inotify.max_user_instances");
  }

  void processes() {
    if (util::pid_namespace() != 0 && ::access("/proc/self/fdinfo", X_OK) == 0) {
      return good("/proc: readable");
    }
    doubtful(
        "/proc: not readable, so a lock held by a caller of the caller is not recognised, and "
        "commands whose cachify was killed cannot be ended",
        "mount /proc");
  }

  void clock() {
    constexpr int64_t k2020 = 1'577'836'800'000'000;
    if (util::realtime_us() > k2020) return good("clock: set");
    doubtful("clock: not set, so fences can repeat once a key's file was removed",
             "set the clock before the first call");
  }

  // All keys, of whatever prefix.
  void keys() {
    constexpr size_t kMost = 5;
    size_t count = 0;
    size_t troubled = 0;
    try {
      for (const std::string& name : names_in(directory_)) {
        for (const Kind kind : {Kind::pool, Kind::lock, Kind::resource}) {
          if (!is_state_file(kind, name)) continue;
          ++count;
          const std::string trouble = trouble_of(kind, name);
          if (!trouble.empty() && ++troubled <= kMost)
            findings_.push_back(
                bad_finding(trouble, "remove it when nobody uses its key any more"));
        }
      }
    } catch (const StoreError& error) {
      return bad(error.what(), kElsewhere);
    }
    if (troubled > kMost) {
      bad("and " + std::to_string(troubled - kMost) + " more such files", "look at them as well");
    }
    if (troubled == 0) good("keys: " + std::to_string(count) + ", their files sound");
  }

  std::string trouble_of(Kind kind, const std::string& name) const {
    const std::string path = directory_.path() + "/" + name;
    const std::optional<std::string> key = key_of(directory_, name);
    if (!key) return {};  // gone
    if (file_name(kind, *key).name != name) return path + " is not a state file of cachify";
    try {
      StateFile state(directory_, kind, *key);
      const StateFile::Wait wait{nullptr, util::monotonic_now() + std::chrono::seconds(1)};
      if (state.lock(StateFile::Access::read_only, wait) == StateFile::Locking::given_up) {
        return path + " has been locked for a second; continue or end the caller that is stopped";
      }
    } catch (const StoreError& error) {
      return error.what();
    }
    return {};
  }

  const Directory& directory_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> examine(const Directory& directory) {
  return Examination(directory).run();
}

}  // namespace cachify::store::file

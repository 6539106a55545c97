#include "store/file/poke.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "store/file/locks.h"
#include "util/files.h"
#include "util/process.h"
#include "util/unique_fd.h"

namespace cachify::store::file {

namespace {

// Between one search of /proc and the next, for those that neither were found nor are gone.
constexpr std::array<util::Duration, 4> kPausesOfSearch = {
    std::chrono::microseconds(300), std::chrono::milliseconds(3), std::chrono::milliseconds(20),
    util::Duration(0)};

// A process that stays the same one, whatever becomes of its number.
class Process {
 public:
  explicit Process(pid_t pid)
      : pid_(pid), fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
    // Where the kernel (or a container's filter) has no such call, the number has to do.
    by_number_ = !fd_ && errno != ESRCH && errno != EINVAL;
  }
  bool exists() const { return fd_ || by_number_; }
  bool signal(int number) const {
    if (!fd_) return ::kill(pid_, number) == 0;
    return ::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0;
  }

 private:
  pid_t pid_;
  util::UniqueFd fd_;
  bool by_number_ = false;
};

using FileOf = std::function<int(const Owner&)>;

bool has_byte(const FileOf& file_of, const Owner& owner) {
  return byte_is_locked(file_of(owner), owner.first_byte + owner.ticket);
}

// By the number that the owner has noted. False: /proc has to tell.
bool signal_by_number(const FileOf& file_of, const Owner& owner, int signal, Reach& reach) {
  if (owner.info.process == 0) return false;
  const Process process(static_cast<pid_t>(owner.info.process));
  if (!process.exists()) return false;
  // The lock stands now, so its owner was alive when the number was looked up.
  if (!has_byte(file_of, owner)) return true;
  if (process.signal(signal)) {
    reach = Reach::reached;
  } else if (errno != ESRCH) {
    reach = Reach::out_of_reach;
  }
  return true;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

pid_t number_of(const char* name) {
  return std::isdigit(static_cast<unsigned char>(*name)) != 0 ? std::atoi(name) : 0;
}

// What the search in /proc looks for.
struct Sought {
  dev_t device;
  ino_t inode;
  uint64_t byte;
  size_t owner;  // whose it is
};

// The write locks of one open file, as /proc/PID/fdinfo/FD lists them:
// "lock: 1: OFDLCK ADVISORY WRITE -1 08:01:123 FIRST LAST".
std::vector<uint64_t> locked_bytes(const std::string& path) {
  std::string text(4096, '\0');
  const util::UniqueFd fd = util::open_above_stdio(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  text.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  std::vector<uint64_t> bytes;
  for (size_t at = text.find("OFDLCK"); at != std::string::npos; at = text.find("OFDLCK", at + 1)) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    const size_t write = line.find(" WRITE ");
    if (write == std::string::npos) continue;
    const size_t last = line.rfind(' ');
    const size_t first = last == 0 ? std::string::npos : line.rfind(' ', last - 1);
    if (first == std::string::npos) continue;
    bytes.push_back(std::strtoull(line.c_str() + first, nullptr, 10));
  }
  return bytes;
}

class ProcSearch {
 public:
  ProcSearch(const std::vector<Sought>& sought, int signal, std::vector<Reach>& results)
      : sought_(sought), signal_(signal), results_(results) {}

  void run() {
    const DirectoryStream all(::opendir("/proc"));
    if (all == nullptr) return;
    while (const dirent* entry = ::readdir(all.get())) {
      const pid_t pid = number_of(entry->d_name);
      if (pid > 0 && pid != ::getpid()) look_at(pid);
    }
  }

 private:
  void look_at(pid_t pid) {
    const std::string base = "/proc/" + std::to_string(pid);
    const DirectoryStream files(::opendir((base + "/fd").c_str()));
    if (files == nullptr) return;  // not ours to see, or gone
    std::vector<size_t> owners;
    const Process process(pid);
    while (const dirent* file = ::readdir(files.get())) {
      struct stat status {};
      if (number_of(file->d_name) == 0 ||
          ::fstatat(::dirfd(files.get()), file->d_name, &status, 0) != 0 || !is_sought(status)) {
        continue;
      }
      for (const uint64_t byte : locked_bytes(base + "/fdinfo/" + file->d_name)) {
        for (const Sought& one : sought_) {
          if (one.device == status.st_dev && one.inode == status.st_ino && one.byte == byte) {
            owners.push_back(one.owner);
          }
        }
      }
    }
    if (owners.empty()) return;
    const bool done = process.signal(signal_);
    for (const size_t owner : owners) {
      if (done) results_[owner] = Reach::reached;
    }
  }

  bool is_sought(const struct stat& status) const {
    return std::any_of(sought_.begin(), sought_.end(), [&](const Sought& one) {
      return one.inode == status.st_ino && one.device == status.st_dev;
    });
  }

  const std::vector<Sought>& sought_;
  int signal_;
  std::vector<Reach>& results_;
};

}  // namespace

Owner owner_of(StateFile& state, uint32_t index, uint64_t first_byte) {
  return {index, state.table().entries[index].ticket, first_byte, state.read_info(index)};
}

std::vector<Reach> signal_owners(StateFile& state, const std::vector<Owner>& owners, int signal) {
  return signal_owners([&state](const Owner& owner) { return state.shard(owner.index); }, owners,
                       signal);
}

std::vector<Reach> signal_owners(const FileOf& file_of, const std::vector<Owner>& owners,
                                 int signal) {
  const uint64_t here = util::pid_namespace();
  std::vector<Reach> results(owners.size(), Reach::gone);
  std::vector<Sought> sought;
  for (size_t i = 0; i < owners.size(); ++i) {
    const Owner& owner = owners[i];
    const bool has_number = owner.first_byte != kHoldByte && owner.info.pid_namespace == here;
    if (here != 0 && has_number && signal_by_number(file_of, owner, signal, results[i])) continue;
    struct stat status {};
    if (!has_byte(file_of, owner) || ::fstat(file_of(owner), &status) != 0) continue;
    results[i] = Reach::out_of_reach;
    sought.push_back({status.st_dev, status.st_ino, owner.first_byte + owner.ticket, i});
  }
  for (const util::Duration pause : kPausesOfSearch) {
    if (sought.empty()) break;
    ProcSearch(sought, signal, results).run();
    // Who dies has left /proc before his locks end; and who was made while we looked was missed.
    sought.erase(std::remove_if(sought.begin(), sought.end(),
                                [&](const Sought& one) {
                                  if (results[one.owner] == Reach::reached) return true;
                                  if (has_byte(file_of, owners[one.owner])) return false;
                                  results[one.owner] = Reach::gone;
                                  return true;
                                }),
                 sought.end());
    if (!sought.empty()) std::this_thread::sleep_for(pause);
  }
  return results;
}

}  // namespace cachify::store::file

#include "store/file/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "errors.h"
#include "store/file/layout.h"
#include "store/file/locks.h"
#include "store/file/maps_file.h"
#include "util/files.h"

namespace cachify::store::file {

namespace {

constexpr int kMostFiles = 4000;
constexpr int kOpenFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool nobody_depends_on(int fd) {
  return !any_byte_is_locked(fd, kWaitByte, (kHoldByte - kWaitByte) + (1ULL << 60U));
}

bool is_older(const struct stat& status, util::Duration idle) {
  return util::realtime_us() -
             (status.st_mtim.tv_sec * 1'000'000 + status.st_mtim.tv_nsec / 1000) >=
         idle.count() / 1000;
}

bool delete_if_idle(int directory, const std::string& name, util::Duration idle) {
  const util::UniqueFd fd = util::open_above_stdio(directory, name.c_str(), kOpenFlags);
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return false;
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || status.st_nlink == 0 || !S_ISREG(status.st_mode) ||
      !is_older(status, idle)) {
    return false;
  }
  Head head{};
  const Header& header = head.header;
  if (util::read_at(fd.get(), &head, sizeof head, 0) < static_cast<ssize_t>(sizeof header) ||
      header.magic != kMagic || !is_sound(head) || header.stored_max != 0 || header.closed != 0 ||
      header.next >= static_cast<uint64_t>(util::realtime_us())) {
    return false;
  }
  // Whoever holds a slot or waits has a lock byte; entries without one are of the dead.
  if (!nobody_depends_on(fd.get())) return false;
  std::vector<std::string> shards;
  for (uint32_t number = 1;; ++number) {
    std::string shard = name + "~" + std::to_string(number);
    const util::UniqueFd shard_fd = util::open_above_stdio(directory, shard.c_str(), kOpenFlags);
    if (!shard_fd && errno == ENOENT) break;
    if (!shard_fd) return false;
    if (!nobody_depends_on(shard_fd.get())) return false;
    shards.push_back(std::move(shard));
  }
  // From the last one on: killed on the way, we leave no gap that would hide a later shard.
  for (auto shard = shards.rbegin(); shard != shards.rend(); ++shard) {
    ::unlinkat(directory, shard->c_str(), 0);
  }
  return ::unlinkat(directory, name.c_str(), 0) == 0;
}

bool sweep_files(const Directory& directory, util::Duration idle) {
  const int fd = ::openat(directory.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseDirectory> stream(fd < 0 ? nullptr : ::fdopendir(fd));
  if (stream == nullptr) return false;
  bool deleted = false;
  try {
    int left = kMostFiles;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string name = entry->d_name;
      const bool maps = is_maps_file(name);
      if (!maps && !is_state_file(name)) continue;
      if (left-- == 0) break;
      struct stat status {};
      if (::fstatat(directory.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
          is_older(status, idle) &&
          (maps ? delete_dead_maps(directory, name) : delete_if_idle(directory.fd(), name, idle))) {
        deleted = true;
      }
    }
  } catch (const StoreError&) {
    // Tidying up is no reason to fail.
  }
  return deleted;
}

}  // namespace

bool sweep(const Directory& directory, util::Duration idle) {
  const int error_number = errno;
  const bool deleted = sweep_files(directory, idle);
  errno = error_number;
  return deleted;
}

}  // namespace cachify::store::file

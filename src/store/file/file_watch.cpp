#include "store/file/file_watch.h"

#include <poll.h>
#include <sys/inotify.h>

#include <algorithm>

namespace cachify::store::file {

namespace {

int sleep_on(pollfd* fds, nfds_t count, util::MonotonicTime until, const sigset_t& mask) {
  const int64_t ns = std::max<int64_t>(0, until.ns - util::monotonic_now().ns);
  const timespec timeout{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  return ::ppoll(fds, count, &timeout, &mask);
}

}  // namespace

bool FileWatch::add(const std::string& path) {
  if (std::find(watched_.begin(), watched_.end(), path) != watched_.end()) return true;
  if (!fd_) fd_ = util::UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd_ || ::inotify_add_watch(fd_.get(), path.c_str(), IN_MODIFY | IN_CLOSE_WRITE) < 0) {
    return false;
  }
  watched_.push_back(path);
  fresh_ = true;
  return true;
}

bool FileWatch::sleep(util::MonotonicTime until, const sigset_t& mask) {
  pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (sleep_on(&entry, 1, until, mask) <= 0) return false;
  char events[4096];
  while (::read(fd_.get(), events, sizeof events) > 0) {
  }
  return true;
}

void sleep_until(util::MonotonicTime until, const sigset_t& mask) {
  sleep_on(nullptr, 0, until, mask);
}

}  // namespace cachify::store::file

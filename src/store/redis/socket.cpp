#include "store/redis/socket.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "errors.h"
#include "store/redis/failure.h"
#include "store/redis/resolve.h"
#include "util/errno_text.h"

namespace cachify::store::redis {

namespace {

// Data that the other side does not confirm for so long ends the connection: a half-open one is
// noticed also where nothing is awaited.
constexpr int kUnconfirmedMs = 10'000;

[[noreturn]] void unreachable(const Endpoint& endpoint, const std::string& why) {
  throw Failure(Failure::Kind::unreachable, endpoint.text() + ": " + why);
}

util::UniqueFd make_socket(int family) {
  const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  util::UniqueFd fd(::socket(family, type, 0));
  if (!fd) throw OsError("cannot make a socket", errno);
  if (fd.get() <= STDERR_FILENO) {
    // COMMAND, started with one of these closed, is to find it closed.
    fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!fd) throw OsError("cannot copy a descriptor", errno);
  }
  return fd;
}

// 0 or the errno.
int connect_one(int fd, const sockaddr* address, socklen_t size, const Limit& limit) {
  if (::connect(fd, address, size) == 0) return 0;
  // A unix socket says EAGAIN when its queue is full.
  if (errno != EINPROGRESS && errno != EINTR) return errno == EAGAIN ? ETIMEDOUT : errno;
  if (!wait_for(fd, POLLOUT, limit)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

util::UniqueFd connect_unix(const Endpoint& endpoint, const Limit& limit) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, endpoint.path.data(), endpoint.path.size());
  util::UniqueFd fd = make_socket(AF_UNIX);
  const int error =
      connect_one(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address, limit);
  if (error != 0) unreachable(endpoint, util::errno_text(error));
  return fd;
}

void set_option(int fd, int level, int name, int value) {
  // A socket that refuses them works all the same.
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

}  // namespace

util::UniqueFd connect_to(const Endpoint& endpoint, const Limit& limit) {
  if (!endpoint.path.empty()) return connect_unix(endpoint, limit);
  const std::vector<SocketAddress> addresses = resolve(endpoint, limit);
  int error = ETIMEDOUT;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const SocketAddress& address = addresses[i];
    util::UniqueFd fd = make_socket(address.storage.ss_family);
    set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, kUnconfirmedMs);
    set_option(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set_option(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, 5);
    // Those that come later get their share of the time, too.
    const util::Duration left = limit.until - util::monotonic_now();
    error = connect_one(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size,
                        limit.within(left / static_cast<int64_t>(addresses.size() - i)));
    if (error == 0) return fd;
  }
  unreachable(endpoint, util::errno_text(error));
}

}  // namespace cachify::store::redis

#include "store/redis/resolve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "errors.h"
#include "store/redis/failure.h"
#include "util/files.h"
#include "util/unique_fd.h"

namespace cachify::store::redis {

namespace {

std::optional<SocketAddress> read_number(const std::string& host, uint16_t port) {
  SocketAddress address;
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
    return address;
  }
  return std::nullopt;
}

// Written by the child with one write(2) each, all of the same size, so none is ever torn.
struct Found {
  int error = 0;  // of getaddrinfo
  SocketAddress address;
};

[[noreturn]] void look_up(const Endpoint& endpoint, int to) {
  // Nobody waits for it then, and it has copies of descriptors that others may wait for.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  Found found;
  found.error =
      ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &list);
  if (found.error != 0) {
    if (::write(to, &found, sizeof found) < 0) ::_exit(1);
  }
  int count = 0;
  for (const addrinfo* item = list; item != nullptr && count < 16; item = item->ai_next, ++count) {
    std::memcpy(&found.address.storage, item->ai_addr, item->ai_addrlen);
    found.address.size = item->ai_addrlen;
    if (::write(to, &found, sizeof found) < 0) ::_exit(1);
  }
  ::_exit(0);
}

// Kills and reaps on every way out.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t pid_;
};

}  // namespace

std::vector<SocketAddress> resolve(const Endpoint& endpoint, const Limit& limit) {
  if (const auto address = read_number(endpoint.host, endpoint.port)) return {*address};
  if (endpoint.host == "localhost") {
    return {*read_number("127.0.0.1", endpoint.port), *read_number("::1", endpoint.port)};
  }

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw OsError("cannot make a pipe", errno);
  const util::UniqueFd from(ends[0]);
  util::UniqueFd to(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) throw OsError("cannot start a process", errno);
  if (pid == 0) look_up(endpoint, to.get());
  const Child child(pid);
  to.reset();

  std::vector<SocketAddress> addresses;
  while (true) {
    if (!wait_for(from.get(), POLLIN, limit)) {
      throw Failure(Failure::Kind::unreachable, "looking up '" + endpoint.host + "' took too long");
    }
    Found found;
    const ssize_t size = ::read(from.get(), &found, sizeof found);
    if (size < 0 && errno == EINTR) continue;
    if (size != static_cast<ssize_t>(sizeof found)) break;
    if (found.error != 0) {
      throw Failure(
          Failure::Kind::unreachable,
          "the host '" + endpoint.host + "' cannot be found: " + ::gai_strerror(found.error));
    }
    addresses.push_back(found.address);
  }
  if (addresses.empty()) {
    throw Failure(Failure::Kind::unreachable, "the host '" + endpoint.host + "' cannot be found");
  }
  return addresses;
}

}  // namespace cachify::store::redis

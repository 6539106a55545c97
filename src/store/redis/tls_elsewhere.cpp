#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string>
#include <vector>

#include "errors.h"
#include "store/redis/transport.h"
#include "util/errno_text.h"
#include "util/files.h"

namespace cachify::store::redis {

namespace {

// argv as the kernel has it, however much of it has been parsed already.
std::vector<std::string> own_arguments() {
  const util::UniqueFd file =
      util::open_above_stdio(AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (!file) throw OsError("cannot read /proc/self/cmdline", errno);
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t size = 0;
  while ((size = util::read_at(file.get(), buffer.data(), buffer.size(),
                               static_cast<off_t>(text.size()))) > 0) {
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  std::vector<std::string> arguments;
  for (size_t from = 0; from < text.size();) {
    const size_t end = std::min(text.find('\0', from), text.size());
    arguments.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  if (arguments.empty()) throw OsError("cannot read /proc/self/cmdline", ENOENT);
  return arguments;
}

std::string own_directory() {
  std::vector<char> path(PATH_MAX);
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size < 0) throw OsError("cannot read /proc/self/exe", errno);
  const std::string text(path.data(), static_cast<size_t>(size));
  return text.substr(0, text.rfind('/'));
}

// Where it is installed, and in the folder that it was built in.
std::array<std::string, 2> places() {
  const std::string own = own_directory();
  return {own.substr(0, own.rfind('/')) + "/libexec/cachify/cachify-tls", own + "/cachify-tls"};
}

}  // namespace

std::string tls_provider() {
  for (const std::string& place : places())
    if (::access(place.c_str(), X_OK) == 0) return place;
  return {};
}

void require_tls() {
  const std::array<std::string, 2> candidates = places();
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  int error = ENOENT;
  for (const std::string& place : candidates) {
    ::execv(place.c_str(), argv.data());
    if (errno != ENOENT) error = errno;
  }
  throw Error(kExitUnavailable,
              "rediss:// needs the program " + candidates.front() + ": " +
                  (error == ENOENT ? "it is not installed (it is built where OpenSSL's headers are)"
                                   : util::errno_text(error)));
}

std::unique_ptr<Transport> make_tls_transport(int, const Address&, const std::string&) {
  throw Error(kExitInternal, "TLS is in another program");
}

}  // namespace cachify::store::redis

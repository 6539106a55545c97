#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string>
#include <string_view>
#include <utility>
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

// Whether the dynamic loader knows OpenSSL. The usual answer, for the price of reading one file; no
// is only a suspicion: the library may have another name or lie where the cache doesn't look.
bool loader_knows_openssl() {
  constexpr std::string_view kLibrary("libssl.so.3", sizeof "libssl.so.3");
  constexpr size_t kLargest = 4 << 20;
  const util::UniqueFd file =
      util::open_above_stdio(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return false;
  std::string text(std::min(static_cast<size_t>(status.st_size), kLargest), '\0');
  return util::read_at(file.get(), text.data(), text.size(), 0) > 0 &&
         text.find(kLibrary) != std::string::npos;
}

// The proof. What the loader has to say of a program that it can't start would be no line of ours,
// and its code 127 would pass for COMMAND's.
bool starts(const std::string& program) {
  posix_spawn_file_actions_t actions;
  if (::posix_spawn_file_actions_init(&actions) != 0) return true;
  for (const int number : {STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_WRONLY, 0);
  std::string name = program;
  std::string option = "--version";
  std::array<char*, 3> argv = {name.data(), option.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return false;
  int ended = 0;
  while (::waitpid(child, &ended, 0) < 0) {
    if (errno != EINTR) return true;  // whoever ignores SIGCHLD is never told
  }
  return WIFEXITED(ended) && WEXITSTATUS(ended) == 0;
}

struct Found {
  std::string program;  // empty: none
  std::string why;      // there is none
};

Found find_program() {
  Found found{{}, "it is not installed (it is built where OpenSSL's headers are)"};
  for (std::string& place : places()) {
    if (::access(place.c_str(), X_OK) != 0) {
      if (errno != ENOENT) found.why = util::errno_text(errno);
    } else if (loader_knows_openssl() || starts(place)) {
      return {std::move(place), {}};
    } else {
      found.why =
          "it cannot be started; install OpenSSL 3 (libssl.so.3) for this system's C library";
    }
  }
  return found;
}

}  // namespace

std::string tls_provider() {
  return find_program().program;
}

void require_tls() {
  const Found found = find_program();
  std::string why = found.why;
  if (!found.program.empty()) {
    std::vector<std::string> arguments = own_arguments();
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    ::execv(found.program.c_str(), argv.data());
    why = util::errno_text(errno);
  }
  const std::string program = found.program.empty() ? places().front() : found.program;
  throw Error(kExitUnavailable, "rediss:// needs the program " + program + ": " + why);
}

std::unique_ptr<Transport> make_tls_transport(int, const Address&, const std::string&) {
  throw Error(kExitInternal, "TLS is in another program");
}

}  // namespace cachify::store::redis

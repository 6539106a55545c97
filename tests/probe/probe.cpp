// Prints as one JSON object how it was started, so that tests assert on facts: argv, environment,
// open descriptors, signals, process group, terminal, umask, working directory. Options before
// anything else: `--out FILE` writes there instead of standard output, `--exit N` ends with N.
// C library only, and nothing that opens a descriptor before they were listed.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

std::string quoted(const char* text) {
  std::string result = "\"";
  // Bytes, one \u00XX each: any argv survives, and Python gets it back with .encode("latin-1").
  for (; *text != '\0'; ++text) {
    const auto byte = static_cast<unsigned char>(*text);
    char escaped[8];
    if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\') {
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(byte));
      result += escaped;
    } else {
      result += static_cast<char>(byte);
    }
  }
  return result + "\"";
}

std::string list(char** items) {
  std::string result = "[";
  for (char** item = items; *item != nullptr; ++item) {
    if (item != items) result += ", ";
    result += quoted(*item);
  }
  return result + "]";
}

std::string descriptors() {
  std::string result = "{";
  const long limit = std::min(sysconf(_SC_OPEN_MAX), 65536L);
  for (int fd = 0; fd < limit; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0) continue;
    struct stat status {};
    fstat(fd, &status);
    char text[256];
    std::snprintf(text, sizeof text,
                  "%s\"%d\": {\"dev\": %llu, \"ino\": %llu, \"offset\": %lld, \"flags\": %d, "
                  "\"fd_flags\": %d}",
                  result.size() > 1 ? ", " : "", fd, static_cast<unsigned long long>(status.st_dev),
                  static_cast<unsigned long long>(status.st_ino),
                  static_cast<long long>(lseek(fd, 0, SEEK_CUR)), fcntl(fd, F_GETFL), flags);
    result += text;
  }
  return result + "}";
}

std::string blocked_signals() {
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  std::string result = "[";
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (sigismember(&mask, signal) != 1) continue;
    if (result.size() > 1) result += ", ";
    result += std::to_string(signal);
  }
  return result + "]";
}

std::string ignored_signals() {
  std::string result = "[";
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_IGN) continue;
    if (result.size() > 1) result += ", ";
    result += std::to_string(signal);
  }
  return result + "]";
}

// -1: no controlling terminal.
int foreground_group() {
  const int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return -1;
  const int group = tcgetpgrp(fd);
  close(fd);
  return group;
}

std::string working_directory() {
  char buffer[PATH_MAX];
  return quoted(getcwd(buffer, sizeof buffer) != nullptr ? buffer : "");
}

}  // namespace

int main(int argc, char** argv) {
  std::string out = "{\"descriptors\": " + descriptors();  // first, before we open any
  const mode_t mask = umask(0);
  umask(mask);
  out += ", \"argv\": " + list(argv) + ", \"environment\": " + list(environ);
  out += ", \"blocked\": " + blocked_signals() + ", \"ignored\": " + ignored_signals();
  out += ", \"pid\": " + std::to_string(getpid()) + ", \"ppid\": " + std::to_string(getppid());
  out += ", \"pgrp\": " + std::to_string(getpgrp()) + ", \"sid\": " + std::to_string(getsid(0));
  out += ", \"foreground\": " + std::to_string(foreground_group());
  out += ", \"umask\": " + std::to_string(mask) + ", \"cwd\": " + working_directory() + "}\n";

  int fd = STDOUT_FILENO;
  int code = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--out") == 0) {
      fd = open(argv[i + 1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    } else if (std::strcmp(argv[i], "--exit") == 0) {
      code = std::atoi(argv[i + 1]);
    } else {
      break;
    }
  }
  for (size_t done = 0; done < out.size();) {
    const ssize_t size = write(fd, out.data() + done, out.size() - done);
    if (size < 0) return 99;
    done += static_cast<size_t>(size);
  }
  return code;
}

#include "util/process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "util/files.h"

// Made by the linker.
extern "C" char __executable_start;  // NOLINT(bugprone-reserved-identifier)
extern "C" char etext;

namespace cachify::util {

uint64_t pid_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

void populate_program() {
#ifdef MADV_POPULATE_READ
  // The first segment starts a page.
  const auto size = static_cast<size_t>(&etext - &__executable_start);
  ::madvise(&__executable_start, size, MADV_POPULATE_READ);
#endif
}

namespace {

// 0 when it cannot be told.
pid_t parent_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const UniqueFd fd = open_above_stdio(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
  if (!fd) return 0;
  char text[512];
  const ssize_t size = read_at(fd.get(), text, sizeof text - 1, 0);
  if (size <= 0) return 0;
  text[size] = '\0';
  // "pid (name) state ppid ...": the name may hold anything, so look from its last bracket on.
  const char* after_name = std::strrchr(text, ')');
  if (after_name == nullptr || std::strlen(after_name) < 4) return 0;
  return static_cast<pid_t>(std::strtol(after_name + 4, nullptr, 10));
}

}  // namespace

std::vector<pid_t> ancestors() {
  std::vector<pid_t> list;
  for (pid_t pid = ::getppid(); pid > 0 && list.size() < 1024; pid = parent_of(pid)) {
    list.push_back(pid);
  }
  return list;
}

}  // namespace cachify::util

#include "util/process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <string_view>

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

// The first bytes of /proc/PID/NAME, as many as fit; empty when it cannot be read.
std::string_view read_of(pid_t pid, const char* name, std::span<char> buffer) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const UniqueFd fd = open_above_stdio(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
  if (!fd) return {};
  const ssize_t size = read_at(fd.get(), buffer.data(), buffer.size(), 0);
  return size > 0 ? std::string_view(buffer.data(), static_cast<size_t>(size)) : std::string_view();
}

// Fields of proc(5), counted from 1.
constexpr size_t kState = 3;
constexpr size_t kParent = 4;
constexpr std::array<size_t, 9> kLayout{26, 28, 45, 46, 47, 48, 49, 50, 51};
constexpr size_t kFields = 52;

}  // namespace

std::optional<ProcessStat> process_stat(pid_t pid) {
  std::array<char, 1024> buffer;
  std::string_view text = read_of(pid, "stat", buffer);
  // "pid (name) state ppid ...": the name may hold anything, so look from its last bracket on.
  const size_t after_name = text.rfind(')');
  if (after_name == std::string_view::npos || text.size() < after_name + 4) return std::nullopt;
  text.remove_prefix(after_name + 2);
  ProcessStat stat;
  stat.state = text[0];
  std::array<uint64_t, kFields + 1> fields{};
  size_t field = kState;
  for (const char c : text) {
    if (c == ' ') {
      ++field;
    } else if (field <= kFields && c >= '0' && c <= '9') {
      fields[field] = fields[field] * 10 + static_cast<uint64_t>(c - '0');
    }
  }
  stat.parent = static_cast<pid_t>(fields[kParent]);
  for (size_t i = 0; i < kLayout.size(); ++i) stat.layout[i] = fields[kLayout[i]];
  return stat;
}

std::string command_line_of(pid_t pid) {
  std::array<char, 512> buffer;
  std::string text(read_of(pid, "cmdline", buffer));
  while (text.ends_with('\0')) text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

std::vector<pid_t> ancestors() {
  std::vector<pid_t> list;
  for (pid_t pid = ::getppid(); pid > 0 && list.size() < 1024;) {
    list.push_back(pid);
    const auto stat = process_stat(pid);
    pid = stat ? stat->parent : 0;
  }
  return list;
}

}  // namespace cachify::util

#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cachify::util {

// The inode of this process' PID namespace, 0 where /proc cannot tell. Process ids mean the same
// thing only within one.
uint64_t pid_namespace();

// Maps the whole program in, so that code which runs for the first time costs no page faults. For
// who is about to sleep and wants to be quick on waking. Does nothing where the kernel cannot.
void populate_program();

// Parent, its parent and so on, as far as /proc shows them.
std::vector<pid_t> ancestors();

// What /proc/PID/stat tells about a process.
struct ProcessStat {
  char state = '?';  // Z and X: it has ended
  pid_t parent = 0;
  // Where its program, stack, arguments and environment lie. An exec gives other places, a fork
  // alone keeps them. All 0 where we may not know.
  std::array<uint64_t, 9> layout{};
};
std::optional<ProcessStat> process_stat(pid_t pid);

// Its command line, blanks between the words; empty: unknown.
std::string command_line_of(pid_t pid);

}  // namespace cachify::util

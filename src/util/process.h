#pragma once

#include <sys/types.h>

#include <cstdint>
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

}  // namespace cachify::util

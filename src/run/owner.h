#pragma once

#include <sys/types.h>

#include <string>

#include "util/unique_fd.h"

namespace cachify::run {

// The process for which `acquire` holds a slot: the slot ends with it.
struct Owner {
  pid_t pid = 0;
  util::UniqueFd end;   // a pidfd, readable once it has ended; close-on-exec
  std::string command;  // its command line, for the eyes of others
};

// The process `pid`. Throws UsageError: it is not there, or somebody else's.
Owner owner_named(pid_t pid);

// The shell that called us: our parent, or, where that is only a forked copy of it as in
// id=$(cachify lock acquire ...), the shell itself. That is the process which a shell calls $$.
Owner calling_shell();

}  // namespace cachify::run

#pragma once

#include <functional>
#include <string>

namespace cachify::test {

struct ChildResult {
  int status = 0;      // of waitpid(2)
  std::string output;  // all that went to standard output and standard error
  int code() const;    // its exit code; -1 when a signal ended it
  int signal() const;  // 0 when it exited
};

// Calls `body` in a forked process and waits for its end; what it returns is the exit code. For
// what changes signals, dies of them, or executes something. Nothing of doctest may be used inside.
ChildResult in_child(const std::function<int()>& body);

}  // namespace cachify::test

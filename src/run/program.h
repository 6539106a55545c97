#pragma once

#include <string>
#include <vector>

namespace cachify::run {

// A command ready to be executed: argv, environment and the paths to try, all made beforehand, so
// that a vfork child allocates nothing.
class Program {
 public:
  // `argv` has at least one element and must outlive the object. Each of `variables`
  // (CACHIFY_NAME=VALUE, or CACHIFY_NAME for none) takes the place of every CACHIFY_NAME that
  // cachify itself was given; the rest of the environment goes through as it is.
  explicit Program(const std::vector<std::string>& argv, std::vector<std::string> variables = {});
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Replaces the process, as execvp(3) does: a name without a slash is looked up in PATH, and what
  // the kernel does not know is given to /bin/sh. Returns an errno, and only on failure.
  // Async-signal-safe.
  int execute() const noexcept;

 private:
  int try_path(const std::string& path) const noexcept;

  std::vector<std::string> variables_;
  bool looked_up_;  // in PATH
  std::vector<std::string> paths_;
  std::vector<char*> argv_;
  std::vector<char*> environment_;
  mutable std::vector<char*> shell_argv_;  // /bin/sh, the path, ARG...
};

// 127 when the command (or its interpreter) is not there, else 126; and a line that says so.
int exec_failure_code(int error_number) noexcept;
std::string exec_failure_text(const std::string& command, int error_number);

}  // namespace cachify::run

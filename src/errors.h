#pragma once

#include <stdexcept>
#include <string>

#include "exit_codes.h"

namespace cachify {

// The one exception type of cachify: a single line for the user and the exit code it ends in.
// "Full" is never one of these; an Error means "wrong use" or "cannot tell". The text says what
// happened, to what, and what to do; it holds no secret. main() prints it, control characters
// escaped, and exits with the code after every destructor ran.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& line) : std::runtime_error(line), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

struct UsageError : Error {
  explicit UsageError(const std::string& line) : Error(kExitUsage, line) {}
};
struct ConfigError : Error {
  explicit ConfigError(const std::string& line) : Error(kExitConfig, line) {}
};
// The store cannot be reached or cannot answer: never to be taken for free or for full.
struct StoreError : Error {
  explicit StoreError(const std::string& line) : Error(kExitUnavailable, line) {}
};
// "; " and what to do about an errno value that a limit of this process is behind; else empty.
std::string advice_on(int error_number);

// A system call failed that has nothing to do with a store. `what` says what was tried.
struct OsError : Error {
  OsError(const std::string& what, int error_number);
};

}  // namespace cachify

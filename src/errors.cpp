#include "errors.h"

#include <cerrno>

#include "util/errno_text.h"

namespace cachify {

std::string advice_on(int error_number) {
  switch (error_number) {
    case EMFILE:
      return "; raise the limit of open files (ulimit -n)";
    case EAGAIN:  // of a fork
    case ENOMEM:
      return "; see the limits of processes and memory (ulimit -a)";
    default:
      return {};
  }
}

OsError::OsError(const std::string& what, int error_number)
    : Error(kExitOsError, what + ": " + util::errno_text(error_number) + advice_on(error_number)) {}

}  // namespace cachify

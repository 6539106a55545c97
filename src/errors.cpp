#include "errors.h"

#include <cstring>

namespace cachify {

OsError::OsError(const std::string& what, int error_number)
    : Error(kExitOsError, what + ": " + std::strerror(error_number)) {}

}  // namespace cachify

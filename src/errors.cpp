#include "errors.h"

#include "util/errno_text.h"

namespace cachify {

OsError::OsError(const std::string& what, int error_number)
    : Error(kExitOsError, what + ": " + util::errno_text(error_number)) {}

}  // namespace cachify

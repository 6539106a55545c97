#pragma once

#include <cstring>
#include <string>

namespace cachify::util {

// The untranslated description of an errno value: no locale is loaded for it.
inline std::string errno_text(int error_number) {
  const char* text = ::strerrordesc_np(error_number);
  return text != nullptr ? text : "error " + std::to_string(error_number);
}

}  // namespace cachify::util

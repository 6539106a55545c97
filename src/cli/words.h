#pragma once

#include <cstdint>
#include <string>

namespace cachify::cli {

// "1 slot", "3 slots"
inline std::string counted(int64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

}  // namespace cachify::cli

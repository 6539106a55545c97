#include <filesystem>

#include "../fuzz.h"

namespace cachify::fuzz {

Scratch::Scratch() {
  // In memory where that can be had: a fuzzer writes all the time.
  std::string pattern = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
  pattern += "/cachify-fuzz-XXXXXX";
  require(::mkdtemp(pattern.data()) != nullptr, "a folder can be made");
  path_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace cachify::fuzz

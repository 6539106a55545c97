#include "util/random.h"

#include <sys/random.h>

#include <cerrno>

#include "errors.h"

namespace cachify::util {

uint64_t random_number() {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
    throw OsError("cannot get random bytes", errno);
  }
  return number;
}

Duration jittered(Duration duration) {
  constexpr int64_t kSteps = 1000;
  const auto step = static_cast<int64_t>(random_number() % kSteps);
  return duration - duration / 4 + duration / (2 * kSteps) * step;
}

}  // namespace cachify::util

#include "store/redis/random.h"

#include <sys/random.h>

#include <cerrno>

#include "errors.h"
#include "store/redis/id_letters.h"

namespace cachify::store::redis {

uint64_t random_number() {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
    throw OsError("cannot get random bytes", errno);
  }
  return number;
}

std::string random_id() {
  std::string id(kIdLetters, '0');
  write_id(random_number(), id.data());
  return id;
}

std::string random_hex() {
  std::string digits;
  uint64_t number = random_number();
  for (int i = 0; i < 16; ++i, number >>= 4U) digits += "0123456789abcdef"[number & 15U];
  return digits;
}

util::Duration jittered(util::Duration duration) {
  constexpr int64_t kSteps = 1000;
  const auto step = static_cast<int64_t>(random_number() % kSteps);
  return duration - duration / 4 + duration / (2 * kSteps) * step;
}

}  // namespace cachify::store::redis

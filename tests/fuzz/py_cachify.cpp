// Whatever the bytes, the readers of py-cachify's values say what they mean or call them damaged;
// and what they have understood is written so that it is understood again as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "store/pycachify/pickle.h"

using namespace cachify::store::pycachify;

namespace {

void check(bool right) {
  if (!right) std::abort();
}

void read_pool(std::string_view bytes) {
  PoolState state;
  try {
    state = parse_pool(bytes);
  } catch (const Damaged&) {
    return;
  }
  const std::string written = pickled(state);
  check(parse_pool(written) == state);
}

void read_lock(std::string_view bytes) {
  LockValue value;
  try {
    value = parse_lock(bytes);
  } catch (const Damaged&) {
    return;
  }
  check(value.held || !value.owner);
  if (!value.owner) return;
  const std::string written = pickled(*value.owner);
  const LockValue again = parse_lock(written);
  check(again.owner && again.owner->id == value.owner->id && pickled(*again.owner) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_pool(bytes);
  read_lock(bytes);
  return 0;
}

#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

// The values that py-cachify keeps, byte for byte as Python's pickle writes them. Nothing is ever
// executed: the readers know the few opcodes that such a value consists of, in the one order in
// which they make sense, and call anything else damaged.
namespace cachify::store::pycachify {

struct Damaged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Longer values are neither read nor written: some 23,000 slots.
inline constexpr size_t kMostBytes = 1UL << 20U;

struct Slot {
  std::string id;   // 32 lower-case hexadecimal digits
  double ends = 0;  // wall clock of whoever took it, in seconds; infinite: never

  friend bool operator==(const Slot&, const Slot&) = default;
};

// py_cachify._backend._pool_state.PoolState: its `slots`, in Python's order, each id once.
using PoolState = std::vector<Slot>;

// Memory stays within a few times the size of `bytes`, whatever they are. Throws Damaged.
PoolState parse_pool(std::string_view bytes);
// The same bytes as pickle.dumps() of Python 3.8 to 3.13.
std::string pickled(const PoolState& state);

// The value of a lock that cachify holds: a text, which Python takes for true.
struct Owner {
  std::string id;            // 32 hexadecimal digits
  bool has_end = false;      // taken with --exp: not renewed
  Who who;                   // pid and host only
  uint64_t pid_namespace{};  // of `who`

  friend bool operator==(const Owner& a, const Owner& b) {
    return a.id == b.id && a.has_end == b.has_end && a.who.pid == b.who.pid &&
           a.who.host == b.who.host && a.pid_namespace == b.pid_namespace;
  }
};

struct LockValue {
  bool held = false;           // it is true for Python
  std::optional<Owner> owner;  // a cachify; else Python or somebody unknown
};
// Throws Damaged.
LockValue parse_lock(std::string_view bytes);
std::string pickled(const Owner& owner);

}  // namespace cachify::store::pycachify

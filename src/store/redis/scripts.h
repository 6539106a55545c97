#pragma once

#include <array>
#include <string>
#include <string_view>

#include "store/store.h"

namespace cachify::store::redis {

// A script, as in scripts/NAME.lua with scripts/common.lua before it. EVALSHA with `sha1`, and
// EVAL with `text` where the server does not know it yet.
struct Script {
  std::string_view sha1;
  const char* text;
};

extern const Script kTake;
extern const Script kKeep;
extern const Script kFree;
extern const Script kSettle;
extern const Script kSize;
extern const Script kLook;

// The names of all that belongs to one pool or lock. `{...}` in them is the key, so that a cluster
// has all of it on one node; `{`, `}` and `%` inside prefix and key are written as %7B, %7D, %25.
struct Keys {
  Keys(const std::string& prefix, Kind kind, const std::string& key);
  std::string wake_up(const std::string& id) const { return base + "g:" + id; }
  const std::string& queue() const { return names[1]; }
  const std::string& alive() const { return names[2]; }

  std::string base;
  std::array<std::string, 7> names;  // h q a p i m b
};

inline const char* kind_text(Kind kind) {
  return kind == Kind::lock ? "lock" : "pool";
}

}  // namespace cachify::store::redis

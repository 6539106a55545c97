#pragma once

#include <array>
#include <optional>
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
extern const Script kSet;
extern const Script kDismiss;
extern const Script kEnd;
extern const Script kSummary;
extern const Script kRights;
extern const Script kProbe;
extern const Script kCatalogue;
extern const Script kChange;
extern const Script kMap;

// The names of all that belongs to one pool, lock or resource. `{...}` in them is the key, so that
// a cluster has all of it on one node; `{`, `}` and `%` inside prefix and key are written as %7B,
// %7D, %25.
struct Keys {
  Keys(const std::string& prefix, Kind kind, const std::string& key);
  std::string wake_up(const std::string& id) const { return base + "g:" + id; }
  std::string grant(const std::string& id) const { return base + "n:" + id; }
  std::string mark(const std::string& id) const { return base + "e:" + id; }
  std::string watchers() const { return base + "w"; }
  std::string maps() const { return base + "s"; }  // also the channel that they listen to
  const std::string& holders() const { return names[0]; }
  const std::string& queue() const { return names[1]; }
  const std::string& alive() const { return names[2]; }

  std::string base;
  std::array<std::string, 7> names;  // h q a p i m b
};

// What the connection of one who waits is called in the server's list of clients.
inline std::string name_of_client(const std::string& id) {
  return "cachify:" + id;
}

inline const char* kind_text(Kind kind) {
  if (kind == Kind::resource) return "resource";
  return kind == Kind::lock ? "lock" : "pool";
}

// For SCAN: the names of everything that keeps books under this prefix (their hash m), and back to
// the key; nullopt when it is not such a name.
std::string pattern_of_books(const std::string& prefix, Kind kind);
std::optional<std::string> key_of_books(const std::string& name, const std::string& prefix,
                                        Kind kind);

}  // namespace cachify::store::redis

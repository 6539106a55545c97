#include "store/registry.h"

#include <string_view>

#include "errors.h"
#include "store/file/file_store.h"
#include "store/redis/redis_store.h"

namespace cachify::store {

namespace {

struct Scheme {
  std::string_view name;
  std::unique_ptr<Store> (*open)(const OpenOptions&);
};

constexpr Scheme kSchemes[] = {
    {"file", open_file_store},
    {"redis", open_redis_store},
    {"rediss", open_redis_store},
    {"redis+unix", open_redis_store},
    {"redis+sentinel", open_redis_store},
    {"redis+cluster", open_redis_store},
};

std::string known_schemes() {
  std::string list;
  for (const Scheme& scheme : kSchemes) {
    if (!list.empty()) list += ", ";
    list += scheme.name;
    list += ':';
  }
  return list;
}

}  // namespace

std::unique_ptr<Store> open(const OpenOptions& options) {
  const std::string_view url = options.url;
  const size_t colon = url.find(':');
  const std::string_view name = url.substr(0, colon == std::string_view::npos ? 0 : colon);
  for (const Scheme& scheme : kSchemes)
    if (scheme.name == name) return scheme.open(options);
  // Only the scheme is shown, and only where it is one: the rest may hold a password.
  const bool shown =
      !name.empty() && name.size() <= 32 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") == std::string_view::npos;
  throw UsageError("the store must be a URL that begins with " + known_schemes() +
                   (shown ? ", not " + std::string(name) + ":" : std::string()));
}

}  // namespace cachify::store

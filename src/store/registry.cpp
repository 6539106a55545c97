#include "store/registry.h"

#include <string_view>

#include "errors.h"
#include "store/file/file_store.h"
#include "store/pycachify/pycachify_store.h"
#include "store/redis/redis_store.h"

namespace cachify::store {

namespace {

constexpr std::string_view kOurPrefix = "cachify:";
constexpr std::string_view kPyCachifyPrefix = "PYC-";

struct Scheme {
  std::string_view name;
  std::unique_ptr<Store> (*open)(const OpenOptions&);
  std::string_view prefix = kOurPrefix;
};

constexpr Scheme kSchemes[] = {
    {"file", open_file_store},
    {"redis", open_redis_store},
    {"rediss", open_redis_store},
    {"redis+unix", open_redis_store},
    {"redis+sentinel", open_redis_store},
    {"redis+cluster", open_redis_store},
    {"py-cachify+redis", open_pycachify_store, kPyCachifyPrefix},
    {"py-cachify+rediss", open_pycachify_store, kPyCachifyPrefix},
    {"py-cachify+redis+unix", open_pycachify_store, kPyCachifyPrefix},
    {"py-cachify+redis+sentinel", open_pycachify_store, kPyCachifyPrefix},
};

// nullptr: none of ours.
const Scheme* find_scheme(std::string_view name) noexcept {
  for (const Scheme& scheme : kSchemes)
    if (scheme.name == name) return &scheme;
  return nullptr;
}

std::string_view scheme_name(std::string_view url) noexcept {
  const size_t colon = url.find(':');
  return url.substr(0, colon == std::string_view::npos ? 0 : colon);
}

}  // namespace

std::string known_schemes() {
  std::string list;
  for (const Scheme& scheme : kSchemes) {
    if (!list.empty()) list += ", ";
    list += scheme.name;
    list += ':';
  }
  return list;
}

std::unique_ptr<Store> open(const OpenOptions& options) {
  const std::string_view name = scheme_name(options.url);
  if (const Scheme* scheme = find_scheme(name)) return scheme->open(options);
  // Only the scheme is shown, and only where it is one: the rest may hold a password.
  const bool shown =
      !name.empty() && name.size() <= 32 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.") == std::string_view::npos;
  const bool is_path = !options.url.empty() &&
                       std::string_view("/.~").find(options.url[0]) != std::string_view::npos;
  throw UsageError("the store must be a URL that begins with " + known_schemes() +
                   (shown ? ", not " + std::string(name) + ":" : std::string()) +
                   (is_path ? "; a directory is named by file:DIR" : ""));
}

std::string_view default_prefix(std::string_view url) noexcept {
  const Scheme* scheme = find_scheme(scheme_name(url));
  return scheme != nullptr ? scheme->prefix : kOurPrefix;
}

}  // namespace cachify::store

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/store.h"

namespace cachify::store {

// What opening a store needs besides its URL.
struct OpenOptions {
  std::string url;                                 // "file:", "file:DIR", ...
  std::string prefix;                              // stands before every key; see default_prefix
  std::optional<std::string> redis_password = {};  // where the URL has none; never printed
};

// Opens the store that the URL's scheme names: one table of schemes in registry.cpp; a row there is
// the whole registration of a store. Throws UsageError for a URL it does not know, ConfigError or
// StoreError when the store cannot be used. A store may put off connecting until it is asked.
std::unique_ptr<Store> open(const OpenOptions& options);

// The schemes there are, as in "file:, redis:".
std::string known_schemes();

// The prefix of those who choose none: the scheme's own. For a scheme it does not know, any.
std::string_view default_prefix(std::string_view url) noexcept;

}  // namespace cachify::store

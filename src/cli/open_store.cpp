#include "cli/open_store.h"

#include "cli/secrets.h"
#include "errors.h"
#include "store/registry.h"

namespace cachify::cli {

std::unique_ptr<store::Store> open_store(const Settings& settings) {
  try {
    auto store = store::open({settings.store, prefix_of(settings), settings.redis_password});
    guard_secrets(settings);
    return store;
  } catch (const UsageError& failure) {
    if (settings.store_origin.empty()) throw;
    throw ConfigError(settings.store_origin + ": " + failure.what());
  }
}

std::string prefix_of(const Settings& settings) {
  return settings.prefix.value_or(std::string(store::default_prefix(settings.store)));
}

}  // namespace cachify::cli

#include "settings.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.h"
#include "quick/handover.h"
#include "setting_rows.h"
#include "util/text.h"

namespace cachify {

namespace {

struct Variables {
  std::vector<std::pair<const SettingRow*, std::string_view>> settings;
  std::string_view profile;
  std::string_view config;
};

// One pass over the environment instead of a getenv() for each setting.
Variables read_environment() {
  Variables result;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with("CACHIFY_")) continue;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals + 1 == text.size()) continue;
    const std::string_view name = text.substr(0, equals);
    const std::string_view value = text.substr(equals + 1);
    if (name == "CACHIFY_PROFILE") {
      result.profile = value;
    } else if (name == "CACHIFY_CONFIG") {
      result.config = value;
    } else if (const SettingRow* row = find_setting_of_variable(name)) {
      result.settings.emplace_back(row, value);
    }
  }
  return result;
}

std::string variable_of(const SettingRow& row) {
  std::string name = "CACHIFY_";
  for (const char c : row.name) name += c == '-' ? '_' : static_cast<char>(c - 'a' + 'A');
  return name;
}

void apply_environment(Settings& settings, const Variables& variables) {
  bool quiet = false, verbose = false;
  for (const auto& [row, view] : variables.settings) {
    const std::string value(view);
    const std::string expected = row->apply(settings, value);
    if (!expected.empty())
      throw ConfigError(variable_of(*row) + " must be " + expected +
                        (row->name == "store" ? "" : ", not " + util::quoted(value)));
    if (row->name == "store") settings.store_origin = "CACHIFY_STORE";
    quiet = quiet || (row->name == "quiet" && settings.quiet);
    verbose = verbose || (row->name == "verbose" && settings.verbose);
  }
  if (quiet && verbose)
    throw ConfigError("CACHIFY_QUIET and CACHIFY_VERBOSE exclude each other; unset one of them");
}

// The configuration file of the user, then the one of the machine.
void apply_default_file(Settings& settings, const std::string& profile) {
  const auto directory = [](const char* variable) {
    const char* value = std::getenv(variable);
    // The XDG specification: a path that is not absolute is to be ignored.
    return value != nullptr && value[0] == '/' ? std::string(value) : std::string();
  };
  std::string user = directory("XDG_CONFIG_HOME");
  if (user.empty()) {
    user = directory("HOME");
    if (!user.empty()) user += "/.config";
  }
  if (!user.empty() && apply_config_file(settings, user + "/cachify/config.toml", profile)) return;
  if (apply_config_file(settings, "/etc/cachify/config.toml", profile)) return;
  if (!profile.empty())
    throw ConfigError("there is no configuration file that could define the profile " +
                      util::quoted(profile) + "; write one, or name no profile");
}

}  // namespace

Settings load_settings(const Overrides& overrides) {
  Settings settings;
  const Variables variables = read_environment();
  const std::string profile = overrides.profile.value_or(std::string(variables.profile));
  const std::string config = overrides.config.value_or(std::string(variables.config));

  if (config.empty()) {
    // The quick start found none, and has acted on that; one that was made since is for later
    // calls.
    if (!quick::handover.admitted) apply_default_file(settings, profile);
  } else if (!apply_config_file(settings, config, profile)) {
    throw ConfigError("the configuration file " + util::quoted(config) + " does not exist" +
                      (overrides.config ? "; correct --config" : "; correct CACHIFY_CONFIG"));
  }
  apply_environment(settings, variables);

  if (overrides.store) {
    settings.store = *overrides.store;
    settings.store_origin.clear();
  }
  if (overrides.prefix) settings.prefix = overrides.prefix;
  if (overrides.verbosity) {
    settings.quiet = *overrides.verbosity == util::Verbosity::quiet;
    settings.verbose = *overrides.verbosity == util::Verbosity::verbose;
  }
  return settings;
}

}  // namespace cachify

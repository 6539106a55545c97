#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "resource/definition.h"
#include "run/run.h"
#include "util/log.h"
#include "util/time.h"

namespace cachify {

// Defaults that belong to a place rather than to a call (contract, section 1): command line over
// CACHIFY_* variables over the profile over the file's top level over what is built in. Members
// that no source gave stay empty, so that each command can apply its own default.
struct Settings {
  std::string store = "file:";
  // Who is to blame for a bad `store`: a variable, or a file and line; empty: the command line.
  std::string store_origin;
  std::optional<std::string> prefix;          // not given: the store's own
  std::optional<std::string> redis_password;  // never printed
  std::optional<util::Duration> slot_exp;     // pools; 0 stands for `none`
  std::optional<util::Duration> exp;          // locks; 0 stands for `none`
  std::optional<util::Duration> timeout;
  bool timeout_none = false;  // `none`: wait as long as it takes
  std::optional<run::OnLost> on_lost;
  std::optional<util::Duration> kill_after;
  std::optional<int> conflict_exit_code;
  std::string config_file;  // the one that was read; empty: there is none
  std::string profile;      // of it, the one in use
  // [resource.KEY], each of which makes sense as a whole.
  std::map<std::string, resource::DefinitionParts> resources;
  bool quiet = false;  // never together with verbose
  bool verbose = false;
};

// What the command line says about the above, and where else to look.
struct Overrides {
  std::optional<std::string> store;
  std::optional<std::string> prefix;
  std::optional<std::string> profile;
  std::optional<std::string> config;
  std::optional<util::Verbosity> verbosity;
};

// Reads the environment and the one configuration file: --config or CACHIFY_CONFIG, which must
// exist, else the first that does of $XDG_CONFIG_HOME/cachify/config.toml (~/.config without it)
// and /etc/cachify/config.toml. An empty variable counts as not set. Throws ConfigError.
Settings load_settings(const Overrides& overrides);

// warn, term or kill.
std::optional<run::OnLost> parse_on_lost(std::string_view text) noexcept;

}  // namespace cachify

#pragma once

#include <optional>
#include <string>

#include "run/run.h"
#include "util/time.h"

namespace cachify {

// Defaults that belong to a place rather than to a call (contract, section 1): command line over
// CACHIFY_* variables over the profile over the file's top level over what is built in. Members
// that no source gave stay empty, so that each command can apply its own default.
struct Settings {
  std::string store = "file:";
  std::string prefix = "cachify:";
  std::optional<std::string>
      redis_password;  // never printed, taken out of COMMAND's environment? no: left as given
  std::optional<util::Duration> slot_exp;  // pools; 0 stands for `none`
  std::optional<util::Duration> exp;       // locks; 0 stands for `none`
  std::optional<util::Duration> timeout;
  bool timeout_none = false;  // `none`: wait as long as it takes
  std::optional<run::OnLost> on_lost;
  std::optional<util::Duration> kill_after;
  std::optional<int> conflict_exit_code;
};

}  // namespace cachify

#pragma once

#include "cli/option_table.h"
#include "settings.h"

namespace cachify::cli {

// Accepted before the noun and after the verb.
class GlobalOptions {
 public:
  void add_to(OptionTable& table);

  Overrides overrides;
  bool version = false;
  bool help = false;
};

}  // namespace cachify::cli

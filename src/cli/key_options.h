#pragma once

#include <string>
#include <vector>

#include "cli/key.h"
#include "cli/option_table.h"

namespace cachify::cli {

// --key and --arg, which every verb that looks at a key has.
class KeyOptions {
 public:
  // `with_command`: the verb takes a COMMAND, which can fill fields. `several`: and any number of
  // keys. `letter`: 0 where -k means something else.
  void add_to(OptionTable& table, bool with_command, bool several = false, char letter = 'k');
  // The one key that is meant. `command` fills the numbered fields. Throws UsageError.
  std::string resolve(const std::vector<std::string>& command) const;
  // All that were given, the same one only once. Throws UsageError.
  std::vector<std::string> resolve_all(const std::vector<std::string>& command) const;

 private:
  std::vector<std::string> formats_;
  NamedValues named_;
};

}  // namespace cachify::cli

#pragma once

#include "cli/option_table.h"
#include "resource/definition.h"
#include "settings.h"

namespace cachify::cli {

// --from, --create and what else says which resources a key has.
class DefinitionOptions {
 public:
  void add_to(OptionTable& table);
  // Of this call, over [resource.KEY]; nullopt: neither says anything. Throws UsageError.
  std::optional<resource::Definition> definition(const Settings& settings,
                                                 const std::string& key) const;
  // How long a create, check or destroy may take.
  util::Duration limit(const Settings& settings, const std::string& key) const;

 private:
  resource::DefinitionParts parts(const Settings& settings, const std::string& key) const;

  resource::DefinitionParts given_;
};

}  // namespace cachify::cli

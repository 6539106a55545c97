#include "cli/definition_options.h"

#include "cli/run_options.h"
#include "util/parse.h"

namespace cachify::cli {

namespace {

constexpr util::Duration kDefaultLimit = std::chrono::seconds(60);

Setter into_shell_text(std::optional<std::string>& target) {
  return [&target](const std::string& value) -> std::string {
    if (!resource::is_shell_text(value)) return "a shell command";
    target = value;
    return {};
  };
}

Setter into_positive_duration(std::optional<util::Duration>& target) {
  return [&target](const std::string& value) -> std::string {
    target = util::parse_duration(value);
    if (target && *target != util::Duration::zero()) return {};
    return std::string(util::kDurationForms) + ", more than 0";
  };
}

}  // namespace

void DefinitionOptions::add_to(OptionTable& table) {
  table.start_group("Which resources there are");
  table.add({0, "from", "NAME[,NAME...]", "These, by name",
             [this](const std::string& value) -> std::string {
               given_.names = resource::parse_names(value);
               return given_.names ? "" : resource::kNamesForm;
             }});
  table.add({0, "create", "CMD",
             "Made on demand: the shell text CMD makes one and prints its handle, one line",
             into_shell_text(given_.create)});
  table.add({0, "create-timeout", "DURATION",
             "How long CMD may take, as may --check and --destroy; default 60s",
             into_positive_duration(given_.create_timeout)});
  table.add({0, "min", "N", "Made ones: keep at least N; what is missing is made beside COMMAND",
             into_integer(given_.min, 0, kLargestNumber)});
  table.add({'n', "max", "N", "Made ones: never more than N; default --min, at least 1",
             into_integer(given_.max, 1, kLargestNumber)});
  table.add({0, "max-life", "DURATION", "Made ones: one that is older is destroyed and made anew",
             into_positive_duration(given_.max_life)});
  table.add({0, "check", "CMD",
             "Shell text that must exit 0 for a handle, its argument, before it is lent",
             into_shell_text(given_.check)});
  table.add({0, "destroy", "CMD", "Shell text that ends the handle that is its argument",
             into_shell_text(given_.destroy)});
}

resource::DefinitionParts DefinitionOptions::parts(const Settings& settings,
                                                   const std::string& key) const {
  const auto found = settings.resources.find(key);
  return merged(given_,
                found == settings.resources.end() ? resource::DefinitionParts{} : found->second);
}

std::optional<resource::Definition> DefinitionOptions::definition(const Settings& settings,
                                                                  const std::string& key) const {
  return complete(parts(settings, key));
}

util::Duration DefinitionOptions::limit(const Settings& settings, const std::string& key) const {
  return parts(settings, key).create_timeout.value_or(kDefaultLimit);
}

}  // namespace cachify::cli

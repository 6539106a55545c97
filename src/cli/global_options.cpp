#include "cli/global_options.h"

#include "setting_rows.h"

namespace cachify::cli {

void GlobalOptions::add_to(OptionTable& table) {
  const auto into_verbosity = [this](util::Verbosity verbosity) -> Setter {
    return [this, verbosity](const std::string&) -> std::string {
      overrides.verbosity = verbosity;
      return {};
    };
  };
  table.start_group("Everywhere");
  table.add({0, "store", "URL", "Where slots are kept; default file:, this machine",
             into_text(overrides.store)});
  table.add({0, "prefix", "TEXT",
             "Stands before every key in the store; default cachify:, or PYC- with py-cachify",
             [this](const std::string& value) -> std::string {
               if (value.size() > kLongestPrefix) return "a text of at most 128 bytes";
               overrides.prefix = value;
               return {};
             }});
  table.add({0, "profile", "NAME", "Use [profile.NAME] of the configuration file",
             into_text(overrides.profile)});
  table.add({0, "config", "FILE", "Read this configuration file instead of the usual one",
             into_text(overrides.config)});
  table.add({'q', "quiet", "", "Print only errors of use and of the store",
             into_verbosity(util::Verbosity::quiet)});
  table.add({'v', "verbose", "", "Explain waiting and refusals",
             into_verbosity(util::Verbosity::verbose)});
  table.add(
      {0, "version", "", "Print the version, the stores and who does TLS", into_switch(version)});
  table.add({'h', "help", "", "Print this help", into_switch(help)});
}

}  // namespace cachify::cli

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/definition_options.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "resource/ledger.h"
#include "show/resources.h"
#include "show/situation_json.h"
#include "util/output.h"

namespace cachify::cli {

namespace {

class ResourceStatus : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "resource status --key KEY [OPTIONS]",
        "Shows the resources of a key: how old each one is, whether it passed its last --check, "
        "and "
        "who has it. A key that never was has none, or those that the configuration file names.",
        {"cachify resource status --key phones",
         "cachify resource status --key testdb --json | jq .available"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Resource");
    key_.add_to(table, false);
    table.add(
        {0, "json", "", "Print an object; man cachify-status has its fields", into_switch(json_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    const auto opened = open_store(settings);
    const DefinitionOptions place;
    resource::Ledger ledger(*opened, key, place.limit(settings, key));
    show::Resources now;
    now.subject = {store::Kind::resource, key, opened->shown_url()};
    // First, so that whoever has one now is known.
    resource::Facts facts;
    now.catalogue = ledger.look(facts);
    now.situation = opened->situation(store::Kind::resource, key);
    now.now_us = facts.now_us;
    const auto definition = place.definition(settings, key);
    if (!now.catalogue.defined && definition) now.catalogue.agree(definition, facts);
    if (json_) {
      util::write_output(show::json_line(show::resources_json(now)));
    } else {
      util::write_output(show::resources_text(now, show::look_of_output()));
    }
    return {};
  }

 private:
  KeyOptions key_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_resource_status() {
  return std::make_unique<ResourceStatus>();
}

}  // namespace cachify::cli

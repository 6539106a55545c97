// resource add, remove and stop.
#include "cli/command.h"
#include "cli/definition_options.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/run_options.h"
#include "errors.h"
#include "resource/steward.h"
#include "util/log.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

class ResourceSteer : public Command {
 public:
  void add_options(OptionTable& table) override {
    table.start_group("Resource");
    key_.add_to(table, false);
  }
  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    const DefinitionOptions place;
    const auto store = open_store(settings);
    resource::Steward steward(*store, key, place.definition(settings, key),
                              place.limit(settings, key),
                              settings.kill_after.value_or(kDefaultKillAfter));
    return steer(steward, key);
  }

 protected:
  virtual run::Ending steer(resource::Steward& steward, const std::string& key) = 0;

  static run::Ending ending_of(const resource::Steward::Outcome& outcome) {
    if (outcome.signal) return {kExitSignalBase + *outcome.signal, outcome.signal};
    return {outcome.failed ? kExitUnavailable : kExitOk, std::nullopt};
  }

 private:
  KeyOptions key_;
};

// Of one of them.
class ResourceSteerOne : public ResourceSteer {
 public:
  void add_options(OptionTable& table) override {
    ResourceSteer::add_options(table);
    table.add({0, "name", "NAME", name_help(), [this](const std::string& value) -> std::string {
                 if (!resource::is_handle(value)) return "a text of one line that is not empty";
                 name_ = value;
                 return {};
               }});
  }

 protected:
  virtual std::string_view name_help() const noexcept = 0;
  const std::string& name() const {
    if (name_.empty()) throw UsageError("a name is missing; give --name NAME");
    return name_;
  }

 private:
  std::string name_;
};

class ResourceAdd : public ResourceSteerOne {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "resource add --key KEY --name NAME",
        "Adds a resource to those that a key lends. One that was marked by remove stays after all; "
        "one that is there already is no error.",
        {"cachify resource add --key phones --name pixel-7",
         "cachify resource add --key licences --name seat-11"}};
    return kManual;
  }

 protected:
  std::string_view name_help() const noexcept override { return "The name or handle to add"; }
  run::Ending steer(resource::Steward& steward, const std::string& key) override {
    if (!steward.add(name()))
      util::explain(key + ": " + util::quoted(name()) + " is there already");
    return {};
  }
};

class ResourceRemove : public ResourceSteerOne {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "resource remove --key KEY --name NAME",
        "Takes a resource out of those that a key lends, and destroys it where there is a "
        "--destroy. "
        "One that is in use is marked, and goes when it comes back. Not there: exits 1.",
        {"cachify resource remove --key phones --name pixel-7",
         "cachify resource remove --key testdb --name test_3"}};
    return kManual;
  }

 protected:
  std::string_view name_help() const noexcept override { return "The name or handle to remove"; }
  run::Ending steer(resource::Steward& steward, const std::string& key) override {
    const auto outcome = steward.remove(name());
    if (outcome.found == 0) {
      util::message(key + " has no resource " + util::quoted(name()));
      return {kExitNo, std::nullopt};
    }
    if (outcome.later > 0)
      util::message(key + ": " + util::quoted(name()) + " is in use, and goes when it comes back");
    return ending_of(outcome);
  }
};

class ResourceStop : public ResourceSteer {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "resource stop --key KEY",
        "Destroys all resources of a key. Those in use go when they come back; until then "
        "newcomers "
        "are refused, and who waits is dismissed. The next caller starts anew.",
        {"cachify resource stop --key testdb", "cachify resource stop --key phones -v"}};
    return kManual;
  }

 protected:
  run::Ending steer(resource::Steward& steward, const std::string& key) override {
    const auto outcome = steward.stop();
    if (outcome.later > 0)
      util::message(key + ": " + std::to_string(outcome.later) +
                    " still in use, to go when they come back");
    return ending_of(outcome);
  }
};

}  // namespace

std::unique_ptr<Command> make_resource_add() {
  return std::make_unique<ResourceAdd>();
}
std::unique_ptr<Command> make_resource_remove() {
  return std::make_unique<ResourceRemove>();
}
std::unique_ptr<Command> make_resource_stop() {
  return std::make_unique<ResourceStop>();
}

}  // namespace cachify::cli

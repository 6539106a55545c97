#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/open_store.h"
#include "show/situation_json.h"
#include "show/situation_text.h"
#include "util/log.h"
#include "util/output.h"

namespace cachify::cli {

namespace {

// pool list and lock list.
class List : public Command {
 public:
  explicit List(store::Kind kind) : kind_(kind) {}

  const Manual& manual() const noexcept override {
    static constexpr Manual kPool = {
        "pool list [OPTIONS]",
        "Prints every pool of the store and prefix that somebody uses, or whose cap or closing is "
        "stored: slots in use, cap and how many wait. Prints nothing when there is none.",
        {"cachify pool list", "cachify pool list --json | jq -r '.[] | select(.free == 0).key'"}};
    static constexpr Manual kLock = {
        "lock list [OPTIONS]",
        "Prints every lock of the store and prefix that somebody uses or that is closed: how many "
        "hold it and how many wait. Prints nothing when there is none.",
        {"cachify lock list", "cachify lock list --json | jq -r '.[] | select(.waiting > 0).key'"}};
    return kind_ == store::Kind::pool ? kPool : kLock;
  }

  void add_options(OptionTable& table) override {
    table.start_group("List");
    table.add(
        {0, "json", "", "Print an array; man cachify-status has its fields", into_switch(json_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>&) override {
    const auto opened = open_store(settings);
    const std::vector<store::KeySummary> keys = opened->list(kind_);
    if (json_) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const store::KeySummary& key : keys)
        list.push_back(show::summary_json({kind_, key.key, opened->shown_url()}, key));
      util::write_output(show::json_line(list));
      return {};
    }
    // Whoever looks at a terminal wonders about silence; a script counts lines.
    if (keys.empty() && ::isatty(STDOUT_FILENO) == 1)
      util::message("no " + std::string(kind_ == store::Kind::pool ? "pool" : "lock") +
                    " is in use in " + opened->shown_url() + " under the prefix " +
                    prefix_of(settings));
    util::write_output(show::joined(show::list_lines(kind_, keys, show::look_of_output())));
    return {};
  }

 private:
  store::Kind kind_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_lock_list() {
  return std::make_unique<List>(store::Kind::lock);
}

std::unique_ptr<Command> make_pool_list() {
  return std::make_unique<List>(store::Kind::pool);
}

}  // namespace cachify::cli

#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/run_options.h"
#include "errors.h"
#include "util/output.h"

namespace cachify::cli {

namespace {

class PoolSize : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "pool size --key KEY [OPTIONS]",
        "Prints how many slots are in use, leaving out the expired and the dead.",
        {"cachify pool size --key jobs",
         "cachify pool size --key jobs --below 3 > /dev/null && ./start-one-more"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Pool");
    key_.add_to(table, false);
    table.add({0, "json", "", "Print an object: key, max (the stored cap, or null), size",
               into_switch(json_)});
    table.add({0, "below", "N|P%",
               "Exit 0 when fewer slots are in use, else 75; P% is of the stored cap",
               [this](const std::string& value) -> std::string {
                 below_ = parse_occupancy(value);
                 return below_ ? std::string() : std::string(kOccupancyForms);
               }});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    const auto opened = open_store(settings);
    store::Situation now;
    // The whole situation costs more than the number.
    if (json_ || (below_ && below_->percent)) {
      now = opened->summary(store::Kind::pool, key);
    } else {
      now.size = opened->size(store::Kind::pool, key);
    }
    const bool enough = below_ && !is_below(now);
    util::write_output(json_ ? to_json(key, now) : std::to_string(now.size) + "\n");
    return {enough ? kExitFull : kExitOk, std::nullopt};
  }

 private:
  bool is_below(const store::Situation& now) const {
    if (!below_->percent) return now.size < below_->slots;
    if (!now.stored_max)
      throw UsageError("--below with a percentage needs a pool with a stored cap; give a number");
    return static_cast<double>(now.size) * 100 <
           *below_->percent * static_cast<double>(*now.stored_max);
  }

  static std::string to_json(const std::string& key, const store::Situation& now) {
    nlohmann::ordered_json object = {{"key", key}, {"max", nullptr}, {"size", now.size}};
    if (now.stored_max) object["max"] = *now.stored_max;
    // JSON is UTF-8; a key need not be.
    return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }

  KeyOptions key_;
  bool json_ = false;
  std::optional<store::ShedAt> below_;
};

}  // namespace

std::unique_ptr<Command> make_pool_size() {
  return std::make_unique<PoolSize>();
}

}  // namespace cachify::cli

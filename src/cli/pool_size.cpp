#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/run_options.h"
#include "errors.h"
#include "exit_codes.h"
#include "show/situation_json.h"
#include "store/situation.h"
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
    table.add(
        {0, "json", "", "Print an object; man cachify-status has its fields", into_switch(json_)});
    table.add({0, "below", "N|P%",
               "Exit 0 when fewer slots are in use, else 75; P% is of the stored cap, else of the "
               "largest --max of who holds or waits",
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
    const show::Subject subject{store::Kind::pool, key, opened->shown_url()};
    util::write_output(json_ ? show::json_line(show::summary_json(subject, now))
                             : std::to_string(now.size) + "\n");
    return {enough ? kExitFull : kExitOk, std::nullopt};
  }

 private:
  bool is_below(const store::Situation& now) const {
    if (!below_->percent) return now.size < below_->slots;
    // Where nobody has said how many there are, nobody holds one: that is 0%.
    const auto max = store::max_of(store::Kind::pool, now);
    if (!max && !now.with_who) {
      throw UsageError(
          "--below with a percentage needs a store that knows how many slots there are; give "
          "--below N");
    }
    if (!max) return *below_->percent > 0;
    return static_cast<double>(now.size) * 100 < *below_->percent * static_cast<double>(*max);
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

#include <optional>

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/run_options.h"
#include "errors.h"
#include "util/log.h"

namespace cachify::cli {

namespace {

class PoolResize : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "pool resize --key KEY --max N|--unset [OPTIONS]",
        "Stores a number of slots that counts for everyone in place of their own --max. Who waits "
        "and fits now starts at once; a smaller number ends nobody.",
        {"cachify pool resize --key jobs --max 8", "cachify pool resize --key jobs --unset"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Pool");
    key_.add_to(table, false);
    table.add(
        {'n', "max", "N", "The number of slots, 1 or more", into_integer(max_, 1, kLargestNumber)});
    table.add({0, "unset", "", "Let each caller's own --max count again", into_switch(unset_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    if (max_.has_value() == unset_) throw UsageError("give either --max N or --unset");
    open_store(settings)->resize(store::Kind::pool, key, max_);
    util::explain(max_ ? key + ": " + std::to_string(*max_) + " slots for everyone from now on"
                       : key + ": each caller's own --max counts from now on");
    return {};
  }

 private:
  KeyOptions key_;
  std::optional<int64_t> max_;
  bool unset_ = false;
};

}  // namespace

std::unique_ptr<Command> make_pool_resize() {
  return std::make_unique<PoolResize>();
}

}  // namespace cachify::cli

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/words.h"
#include "run/admit.h"
#include "run/steer.h"
#include "util/log.h"

namespace cachify::cli {

namespace {

class PoolClose : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "pool close --key KEY [OPTIONS]",
        "Refuses newcomers (75), also those that would wait, until `pool open`. Who waits already "
        "is still served, and who runs goes on, unless told otherwise.",
        {"cachify pool close --key jobs && cachify pool wait --key jobs --until idle",
         "cachify pool close --key jobs --cancel-waiting --terminate"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Pool");
    key_.add_to(table, false);
    table.add(
        {0, "cancel-waiting", "", "Dismiss who waits: they exit 75", into_switch(cancel_waiting_)});
    table.add({0, "terminate", "",
               "End the commands that run, and wait until they have ended: their cachify exits 76",
               into_switch(terminate_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    const auto store = open_store(settings);
    store->set_closed(store::Kind::pool, key, true);
    util::explain(key + ": newcomers are refused from now on");
    if (cancel_waiting_) {
      // After the closing, or somebody could queue in between and stay.
      const int64_t dismissed = store->dismiss(store::Kind::pool, key);
      util::explain(key + ": dismissed " + counted(dismissed, "waiter"));
    }
    if (!terminate_) return {};
    run::Interrupts interrupts;
    const size_t ended = run::end_holders(*store, store::Kind::pool, key, std::nullopt, interrupts);
    if (const auto signal = interrupts.caught()) return run::stopped_by(*signal);
    util::explain(key + ": ended " + counted(static_cast<int64_t>(ended), "command"));
    return {};
  }

 private:
  KeyOptions key_;
  bool cancel_waiting_ = false;
  bool terminate_ = false;
};

}  // namespace

std::unique_ptr<Command> make_pool_close() {
  return std::make_unique<PoolClose>();
}

}  // namespace cachify::cli

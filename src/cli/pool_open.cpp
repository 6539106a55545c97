#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "util/log.h"

namespace cachify::cli {

namespace {

class PoolOpen : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "pool open --key KEY [OPTIONS]",
        "Lets newcomers in again after `pool close`. A pool that is open stays open.",
        {"cachify pool open --key jobs", "cachify pool open --key 'db-{host}' --arg host=a1"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Pool");
    key_.add_to(table, false);
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    open_store(settings)->set_closed(store::Kind::pool, key, false);
    util::explain(key + ": newcomers are let in from now on");
    return {};
  }

 private:
  KeyOptions key_;
};

}  // namespace

std::unique_ptr<Command> make_pool_open() {
  return std::make_unique<PoolOpen>();
}

}  // namespace cachify::cli

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "exit_codes.h"

namespace cachify::cli {

namespace {

class LockIsLocked : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "lock is-locked --key KEY [OPTIONS]",
        "Exits 0 when the lock is held, by a writer or by readers, and 1 when it is free. Prints "
        "nothing.",
        {"cachify lock is-locked --key backup && echo 'a backup is running'",
         "cachify lock is-locked --key 'deploy-{env}' --arg env=production"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Lock");
    key_.add_to(table, false);
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    const bool held = open_store(settings)->size(store::Kind::lock, key) > 0;
    return {held ? kExitOk : kExitNo, std::nullopt};
  }

 private:
  KeyOptions key_;
};

}  // namespace

std::unique_ptr<Command> make_lock_is_locked() {
  return std::make_unique<LockIsLocked>();
}

}  // namespace cachify::cli

#include <optional>

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/words.h"
#include "errors.h"
#include "run/admit.h"
#include "run/steer.h"
#include "util/log.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

// `pool release` and `lock release`.
class Release : public Command {
 public:
  explicit Release(store::Kind kind) : kind_(kind) {}

  const Manual& manual() const noexcept override {
    static constexpr Manual kPool = {
        "pool release --key KEY --id ID|--all [OPTIONS]",
        "Gives back what acquire took, or a slot of somebody else's. The command that runs in it "
        "goes on, unless told otherwise. Nothing there to give back: exits 1.",
        {"cachify pool release --key jobs --id \"$id\"",
         "cachify pool release --key jobs --all --terminate"}};
    static constexpr Manual kLock = {
        "lock release --key KEY [OPTIONS]",
        "Gives back what acquire took, or a lock of somebody else's. The command that runs under "
        "it goes on, unless told otherwise. Nothing there to give back: exits 1.",
        {"cachify lock release --key deploy",
         "cachify lock release --key deploy --id \"$id\" --terminate"}};
    return is_pool() ? kPool : kLock;
  }

  void add_options(OptionTable& table) override {
    table.start_group(is_pool() ? "Pool" : "Lock");
    key_.add_to(table, false);
    table.add({0, "id", "ID",
               is_pool() ? "The slot, as acquire printed it and as CACHIFY_ID names it"
                         : "Only this holder, as acquire printed it and as CACHIFY_ID names it; "
                           "not given: whoever holds, all readers too",
               into_text(id_)});
    if (is_pool()) table.add({0, "all", "", "All slots of the pool", into_switch(all_)});
    table.add({0, "terminate", "",
               "End the command first, and wait until it has ended: its cachify exits 76",
               into_switch(terminate_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    if (is_pool() && id_.has_value() == all_) throw UsageError("give either --id ID or --all");
    const auto store = open_store(settings);
    int64_t count = 0;
    if (terminate_) {
      run::Interrupts interrupts;
      count = static_cast<int64_t>(run::end_holders(*store, kind_, key, id_, interrupts));
      if (const auto signal = interrupts.caught()) return run::stopped_by(*signal);
    } else {
      count = store->give_back(kind_, key, id_);
    }
    if (count == 0) {
      util::message(
          key + ": " +
          (id_ ? "nobody holds it as " + util::quoted(*id_) : "there is nothing to give back"));
      return {kExitNo, std::nullopt};
    }
    util::explain(key + ": " + (terminate_ ? "ended and gave back " : "gave back ") +
                  (is_pool() ? counted(count, "slot") : counted(count, "lock")));
    return {};
  }

 private:
  bool is_pool() const noexcept { return kind_ == store::Kind::pool; }

  const store::Kind kind_;
  KeyOptions key_;
  std::optional<std::string> id_;
  bool all_ = false;
  bool terminate_ = false;
};

}  // namespace

std::unique_ptr<Command> make_lock_release() {
  return std::make_unique<Release>(store::Kind::lock);
}

std::unique_ptr<Command> make_pool_release() {
  return std::make_unique<Release>(store::Kind::pool);
}

}  // namespace cachify::cli

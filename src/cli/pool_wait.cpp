#include <optional>

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "cli/run_options.h"
#include "errors.h"
#include "run/admit.h"
#include "run/steer.h"
#include "util/log.h"
#include "util/output.h"
#include "util/time_text.h"

namespace cachify::cli {

namespace {

using run::Until;

class PoolWait : public Command {
 public:
  const Manual& manual() const noexcept override {
    static constexpr Manual kManual = {
        "pool wait --key KEY --until free|empty|idle [OPTIONS]",
        "Waits until the pool is in that state, takes nothing, and prints the seconds it waited. "
        "Somebody may change the state before you act on it.",
        {"cachify pool wait --key jobs --until idle --timeout 10m && ./maintenance.sh",
         "cachify pool wait --key jobs --until free"}};
    return kManual;
  }

  void add_options(OptionTable& table) override {
    table.start_group("Pool");
    key_.add_to(table, false);
    table.add({0, "until", "free|empty|idle",
               "free: a newcomer would be let in; empty: no slot is in use; idle: and nobody waits",
               [this](const std::string& value) -> std::string {
                 until_ = parse(value);
                 return until_ ? "" : "free, empty or idle";
               }});
    timeout_.add_to(table,
                    "Wait at most so long, then exit 124. 0: look once; none, the default: as long "
                    "as it takes");
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    if (!until_) throw UsageError("give --until free, empty or idle");
    const TimeoutOption::Patience patience = timeout_.patience(settings, /*asked=*/true);
    std::optional<util::Duration> limit = patience.timeout;
    if (!patience.wait) limit = util::Duration::zero();

    const auto store = open_store(settings);
    const util::MonotonicTime started = util::monotonic_now();
    run::Interrupts interrupts;
    if (run::wait_until(*store, store::Kind::pool, key, *until_, limit, interrupts)) {
      util::write_output(util::seconds_text(util::monotonic_now() - started) + "\n");
      return {};
    }
    if (const auto signal = interrupts.caught()) return run::stopped_by(*signal);
    util::message(key + ": not " + std::string(name_of(*until_)) +
                  (patience.wait ? " within " + util::span_text(*limit) : ""));
    return {kExitTimeout, std::nullopt};
  }

 private:
  static std::optional<Until> parse(std::string_view text) noexcept {
    for (const Until until : {Until::free, Until::empty, Until::idle})
      if (text == name_of(until)) return until;
    return std::nullopt;
  }

  static std::string_view name_of(Until until) noexcept {
    return until == Until::free ? "free" : until == Until::empty ? "empty" : "idle";
  }

  KeyOptions key_;
  std::optional<Until> until_;
  TimeoutOption timeout_;
};

}  // namespace

std::unique_ptr<Command> make_pool_wait() {
  return std::make_unique<PoolWait>();
}

}  // namespace cachify::cli

#include "cli/pool_run.h"

#include "cli/open_store.h"
#include "errors.h"

namespace cachify::cli {

const Manual& PoolRun::manual() const noexcept {
  static constexpr Manual kManual = {
      "pool run --key KEY --max N [OPTIONS] -- COMMAND [ARG...]",
      "Takes one of N slots, runs COMMAND, gives the slot back when COMMAND has ended, and exits "
      "with COMMAND's code. Full: exits 75, and COMMAND is not started.",
      {"cachify pool run --key jobs --max 4 -- ./job.sh",
       "cachify pool run --key 'db-{host}' --arg host=a1 -n 2 -t 5m -- ./dump a1"}};
  return kManual;
}

void PoolRun::add_options(OptionTable& table) {
  table.start_group("Pool");
  key_.add_to(table, true);
  table.add({'n', "max", "N",
             "How many slots there are, 1 or more; may be left out where the pool was resized",
             into_integer(max_, 1, kLargestNumber)});
  table.add({0, "weight", "W", "How many of the N slots COMMAND takes; default 1",
             into_integer(weight_, 1, kLargestNumber)});
  slot_exp_.add_to(table, "slot-exp",
                   "The slot stops counting after that long, while COMMAND goes on. Not given: it "
                   "lasts as long as COMMAND does; none: until it is released");
  wait_.add_to(table);
  table.add({0, "shed-at", "N|P%", "From that occupancy on refuse at once, also with --wait",
             [this](const std::string& value) -> std::string {
               shed_at_ = parse_occupancy(value);
               return shed_at_ ? std::string() : std::string(kOccupancyForms);
             }});
  refusal_.add_to(table);
  command_.add_to(table,
                  "When a lease is lost while COMMAND runs: say so (default), or end COMMAND too");
}

run::Request PoolRun::request(const Settings& settings,
                              const std::vector<std::string>& command) const {
  run::Request request;
  request.claim.kind = store::Kind::pool;
  request.claim.key = key_.resolve(command);
  request.claim.max = max_.value_or(0);
  request.claim.weight = weight_.value_or(1);
  if (max_ && request.claim.weight > *max_)
    throw UsageError("--weight must be at most --max, " + std::to_string(*max_));
  request.claim.shed_at = shed_at_;
  slot_exp_.fill(request, settings.slot_exp);
  wait_.fill(request, settings);
  refusal_.fill(request, settings);
  command_.fill(request, settings, run::OnLost::warn);
  request.claim.who = who_am_i(command);
  request.command = command;
  return request;
}

run::Ending PoolRun::execute(const Settings& settings, const std::vector<std::string>& command) {
  const run::Request wanted = request(settings, command);
  return run::run(*open_store(settings), wanted);
}

std::unique_ptr<Command> make_pool_run() {
  return std::make_unique<PoolRun>();
}

}  // namespace cachify::cli

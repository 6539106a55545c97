#include "cli/lock_run.h"

#include "cli/open_store.h"

namespace cachify::cli {

const Manual& LockRun::manual() const noexcept {
  static constexpr Manual kManual = {
      "lock run --key KEY [OPTIONS] -- COMMAND [ARG...]",
      "Takes the lock, runs COMMAND, gives the lock back when COMMAND has ended, and exits with "
      "COMMAND's code. Held by another: exits 75, and COMMAND is not started.",
      {"cachify lock run --key backup -- ./backup.sh",
       "cachify lock run --key 'deploy-{1}' --timeout 10m -- ./deploy production"}};
  return kManual;
}

void LockRun::add_options(OptionTable& table) {
  table.start_group("Lock");
  key_.add_to(table, true);
  table.add({'s', "shared", "", "A reader: any number of them may hold the lock together",
             into_switch(shared_)});
  table.add({0, "weight", "W", "As in pool run; a lock has one slot, so only 1 is possible",
             into_integer(weight_, 1, 1)});
  exp_.add_to(table, "exp",
              "The lock stops counting after that long, while COMMAND goes on. Not given: it lasts "
              "as long as COMMAND does; none: until it is released");
  wait_.add_to(table);
  refusal_.add_to(table);
  command_.add_to(table,
                  "When a lease is lost while COMMAND runs: only say so, or end COMMAND; default "
                  "term");
}

run::Request LockRun::request(const Settings& settings,
                              const std::vector<std::string>& command) const {
  run::Request request;
  request.claim.kind = store::Kind::lock;
  request.claim.key = key_.resolve(command);
  request.claim.max = 1;
  request.claim.weight = weight_.value_or(1);
  request.claim.shared = shared_;
  exp_.fill(request, settings.exp);
  wait_.fill(request, settings);
  refusal_.fill(request, settings);
  command_.fill(request, settings, run::OnLost::term);
  request.claim.who = who_am_i(command);
  request.command = command;
  return request;
}

run::Ending LockRun::execute(const Settings& settings, const std::vector<std::string>& command) {
  const run::Request wanted = request(settings, command);
  return run::run(*open_store(settings), wanted);
}

std::unique_ptr<Command> make_lock_run() {
  return std::make_unique<LockRun>();
}

}  // namespace cachify::cli

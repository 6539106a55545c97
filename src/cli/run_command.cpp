#include "cli/run_command.h"

#include "cli/open_store.h"

namespace cachify::cli {

const Manual& RunCommand::manual() const noexcept {
  static constexpr Manual kPool = {
      "pool run --key KEY --max N [OPTIONS] -- COMMAND [ARG...]",
      "Takes one of N slots, runs COMMAND, gives the slot back when COMMAND has ended, and exits "
      "with COMMAND's code. Full: exits 75, and COMMAND is not started.",
      {"cachify pool run --key jobs --max 4 -- ./job.sh",
       "cachify pool run --key 'db-{host}' --arg host=a1 -n 2 -t 5m -- ./dump a1"}};
  static constexpr Manual kLock = {
      "lock run --key KEY [OPTIONS] -- COMMAND [ARG...]",
      "Takes the lock, runs COMMAND, gives the lock back when COMMAND has ended, and exits with "
      "COMMAND's code. Held by another: exits 75, and COMMAND is not started.",
      {"cachify lock run --key backup -- ./backup.sh",
       "cachify lock run --key 'deploy-{1}' --timeout 10m -- ./deploy production"}};
  return kind_ == store::Kind::pool ? kPool : kLock;
}

void RunCommand::add_options(OptionTable& table) {
  claim_.add_to(table);
  command_.add_to(table,
                  kind_ == store::Kind::pool
                      ? "When a lease is lost while COMMAND runs: say so (default), or end COMMAND "
                        "too"
                      : "When a lease is lost while COMMAND runs: only say so, or end COMMAND; "
                        "default term");
}

run::Request RunCommand::request(const Settings& settings,
                                 const std::vector<std::string>& command) const {
  run::Request request;
  command_.fill(request, settings,
                kind_ == store::Kind::pool ? run::OnLost::warn : run::OnLost::term);
  claim_.fill(request, settings, command);
  request.command = command;
  return request;
}

run::Ending RunCommand::execute(const Settings& settings, const std::vector<std::string>& command) {
  const run::Request wanted = request(settings, command);
  return run::run(*open_store(settings), wanted);
}

std::unique_ptr<Command> make_pool_run() {
  return std::make_unique<RunCommand>(store::Kind::pool);
}

std::unique_ptr<Command> make_lock_run() {
  return std::make_unique<RunCommand>(store::Kind::lock);
}

}  // namespace cachify::cli

#include "cli/claim_options.h"
#include "cli/command.h"
#include "cli/open_store.h"
#include "run/keeper.h"

namespace cachify::cli {

namespace {

// `pool acquire` and `lock acquire`.
class Acquire : public Command {
 public:
  explicit Acquire(store::Kind kind) : kind_(kind), claim_(kind, /*with_command=*/false) {}

  const Manual& manual() const noexcept override {
    static constexpr Manual kPool = {
        "pool acquire --key KEY --max N [OPTIONS]",
        "Takes a slot without a command, and prints its id. A process in the background holds it "
        "until `pool release --id ID`, or until the owner ends: the shell that calls this, if "
        "nothing else is said.",
        {"cachify pool acquire --key jobs --max 4 --wait > job.id || exit",
         "cachify pool acquire --key gpu -n 2 --owner-pid \"$PPID\""}};
    static constexpr Manual kLock = {
        "lock acquire --key KEY [OPTIONS]",
        "Takes the lock without a command, and prints its id. A process in the background holds it "
        "until `lock release`, or until the owner ends: the shell that calls this, if nothing else "
        "is said.",
        {"cachify lock acquire --key deploy --timeout 10m > deploy.id || exit",
         "cachify lock acquire --key deploy --exp 1h --owner-pid \"$PPID\""}};
    return kind_ == store::Kind::pool ? kPool : kLock;
  }

  void add_options(OptionTable& table) override {
    claim_.add_to(table);
    kill_after_.add_to(table, "With --replace: send KILL so long after TERM; default 10s");
    table.start_group("Owner");
    table.add({0, "owner-pid", "PID",
               kind_ == store::Kind::pool
                   ? "The slot ends with this process; default: the shell that calls"
                   : "The lock ends with this process; default: the shell that calls",
               into_integer(owner_, 1, kLargestNumber)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    run::Request request;
    request.kill_after = kill_after_.value(settings);
    claim_.fill(request, settings, command);
    request.claim.inherit = false;
    const run::Owner owner =
        owner_ ? run::owner_named(static_cast<pid_t>(*owner_)) : run::calling_shell();
    // Whose end frees the slot is what others want to know, and what makes it one that a command
    // below can never have.
    request.claim.who.pid = owner.pid;
    request.claim.who.command = shown_command({owner.command});
    // For TLS this becomes another program, which the keeper could not: its parent would wait for
    // nobody. What it opens is closed again.
    static_cast<void>(open_store(settings));
    return run::acquire([&settings] { return open_store(settings); }, request, owner);
  }

 private:
  const store::Kind kind_;
  ClaimOptions claim_;
  KillAfterOption kill_after_;
  std::optional<int64_t> owner_;
};

}  // namespace

std::unique_ptr<Command> make_lock_acquire() {
  return std::make_unique<Acquire>(store::Kind::lock);
}

std::unique_ptr<Command> make_pool_acquire() {
  return std::make_unique<Acquire>(store::Kind::pool);
}

}  // namespace cachify::cli

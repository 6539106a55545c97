#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/key_options.h"
#include "cli/open_store.h"
#include "show/situation_json.h"
#include "show/situation_text.h"
#include "show/watch.h"
#include "util/output.h"

namespace cachify::cli {

namespace {

// pool status and lock status.
class Status : public Command {
 public:
  explicit Status(store::Kind kind) : kind_(kind) {}

  const Manual& manual() const noexcept override {
    static constexpr Manual kPool = {
        "pool status --key KEY [OPTIONS]",
        "Shows who holds the slots of a pool, since when and with which command, who waits, in the "
        "order in which they will be served, which maps are under way and how far they are, and "
        "what "
        "has been counted. A pool that never was is an empty one.",
        {"cachify pool status --key jobs --watch",
         "cachify pool status --key jobs --json | jq '.holders[].pid'"}};
    static constexpr Manual kLock = {
        "lock status --key KEY [OPTIONS]",
        "Shows who holds a lock, since when and with which command, who waits, in the order in "
        "which they will be served, and what has been counted. A lock that never was is a free "
        "one.",
        {"cachify lock status --key backup",
         "cachify lock status --key backup --json | jq '.waiting'"}};
    return kind_ == store::Kind::pool ? kPool : kLock;
  }

  void add_options(OptionTable& table) override {
    table.start_group(kind_ == store::Kind::pool ? "Pool" : "Lock");
    key_.add_to(table, false);
    table.add(
        {0, "json", "", "Print an object; man cachify-status has its fields", into_switch(json_)});
    table.add({0, "watch", "",
               "Go on showing what changes, until q or a signal; with --json a line for each "
               "change",
               into_switch(watch_)});
  }

  bool takes_command() const noexcept override { return false; }

  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override {
    const std::string key = key_.resolve(command);
    const auto opened = open_store(settings);
    const show::Subject subject{kind_, key, opened->shown_url()};
    if (watch_) return show::watch(*opened, subject, json_);

    const store::Situation now = opened->situation(kind_, key);
    const int64_t now_us = util::realtime_us();
    if (json_) {
      util::write_output(show::json_line(show::situation_json(subject, now, now_us)));
    } else {
      const show::Look look = show::look_of_output();
      util::write_output(show::rendered(show::headline(subject, now), look) + "\n" +
                         show::joined(show::situation_lines(now, now_us, look)));
    }
    return {};
  }

 private:
  store::Kind kind_;
  KeyOptions key_;
  bool json_ = false;
  bool watch_ = false;
};

}  // namespace

std::unique_ptr<Command> make_lock_status() {
  return std::make_unique<Status>(store::Kind::lock);
}

std::unique_ptr<Command> make_pool_status() {
  return std::make_unique<Status>(store::Kind::pool);
}

}  // namespace cachify::cli

#include "cli/run_options.h"

#include <unistd.h>

#include <charconv>

#include "util/identity.h"
#include "util/parse.h"
#include "util/secret.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

// What a store keeps of a command line, for people to recognize it by.
constexpr size_t kShownCommand = 180;

}  // namespace

void TimeoutOption::add_to(OptionTable& table, std::string_view help) {
  table.add({'t', "timeout", "DURATION", help, [this](const std::string& value) -> std::string {
               none_ = value == "none";
               timeout_ = util::parse_duration(value);
               if (given()) return {};
               return std::string(util::kDurationForms) + ", or none";
             }});
}

TimeoutOption::Patience TimeoutOption::patience(const Settings& settings, bool asked) const {
  const std::optional<util::Duration>& timeout = given() ? timeout_ : settings.timeout;
  if (!timeout) return {asked || none_ || settings.timeout_none, std::nullopt};
  if (*timeout != util::Duration::zero()) return {true, timeout};
  return {asked && !given(), std::nullopt};
}

void WaitOptions::add_to(OptionTable& table, bool asked) {
  table.start_group("Waiting");
  table.add({'w', "wait", "",
             asked ? "Wait for a slot, first come first served; the default here"
                   : "Wait, first come first served, instead of failing at once",
             into_switch(wait_)});
  timeout_.add_to(table,
                  "Wait at most so long, then exit 124; implies --wait. 0: do not wait; none: as "
                  "long as it takes");
  table.add({0, "priority", "P",
             "-100 to 100, default 0: a higher one is served first, equal ones in order of arrival",
             into_integer(priority_, -100, 100)});
  table.add({0, "queue-max", "N", "Do not wait where N callers already do",
             into_integer(queue_max_, 0, kLargestNumber)});
}

void WaitOptions::fill(run::Request& request, const Settings& settings, bool asked) const {
  request.claim.priority = static_cast<int>(priority_.value_or(0));
  request.claim.queue_max = queue_max_;
  const TimeoutOption::Patience patience = timeout_.patience(settings, wait_ || asked);
  request.wait = patience.wait;
  request.timeout = patience.timeout;
}

void ReplaceOption::add_to(OptionTable& table) {
  table.add({0, "replace", "running|waiting|both",
             "Newest wins: end the command that runs (TERM, then KILL after --kill-after; its "
             "cachify exits 76), or dismiss who waits already; implies --wait",
             [this](const std::string& value) -> std::string {
               const bool both = value == "both";
               if (!both && value != "running" && value != "waiting") {
                 return "running, waiting or both";
               }
               replace_ = {both || value == "running", both || value == "waiting", {}};
               return {};
             }});
}

void ReplaceOption::fill(run::Request& request) const {
  if (!replace_ || !request.wait) return;
  request.claim.replace = replace_;
  request.claim.replace->kill_after = request.kill_after;
}

void RefusalOptions::add_to(OptionTable& table, bool with_command) {
  table.start_group("Refusal");
  table.add({'E', "conflict-exit-code", "N", "Exit with N, 0 to 255, instead of 75 and 124",
             into_integer(conflict_exit_code_, 0, 255)});
  if (!with_command) return;
  table.add({0, "on-full", "CMD",
             "Instead of any 75 or 124, run the shell text CMD with COMMAND and its arguments as "
             "its own, and exit with its code",
             [this](const std::string& value) -> std::string {
               // Nothing but blanks would run COMMAND itself, without a slot.
               if (value.find_first_not_of(" \t\n") == std::string::npos) return "a shell command";
               on_full_ = value;
               return {};
             }});
}

void RefusalOptions::fill(run::Request& request, const Settings& settings) const {
  request.conflict_exit_code = settings.conflict_exit_code;
  if (conflict_exit_code_) request.conflict_exit_code = static_cast<int>(*conflict_exit_code_);
  request.on_full = on_full_;
}

void KillAfterOption::add_to(OptionTable& table, std::string_view help) {
  table.add({0, "kill-after", "DURATION", help, into_duration(kill_after_)});
}

util::Duration KillAfterOption::value(const Settings& settings) const {
  return kill_after_.value_or(settings.kill_after.value_or(kDefaultKillAfter));
}

void CommandOptions::add_to(OptionTable& table, std::string_view on_lost_help, bool with_group) {
  table.start_group("Command");
  table.add({0, "on-lost", "warn|term|kill", on_lost_help,
             [this](const std::string& value) -> std::string {
               on_lost_ = parse_on_lost(value);
               return on_lost_ ? "" : "warn, term or kill";
             }});
  kill_after_.add_to(table, "Send KILL so long after cachify's own TERM; default 10s");
  if (with_group) {
    table.add({'g', "group", "",
               "Give COMMAND a process group of its own, and signals to all of it",
               into_switch(group_)});
  }
  table.add({0, "no-inherit", "",
             "Do not let COMMAND inherit the open file that keeps the slot when cachify is killed",
             into_switch(no_inherit_)});
}

void CommandOptions::fill(run::Request& request, const Settings& settings,
                          run::OnLost default_on_lost) const {
  request.on_lost = on_lost_.value_or(settings.on_lost.value_or(default_on_lost));
  request.kill_after = kill_after_.value(settings);
  request.own_group = group_;
  request.claim.inherit = !no_inherit_;
}

void ExpiryOption::add_to(OptionTable& table, std::string_view name, std::string_view help) {
  table.add({0, name, "DURATION|none", help, [this](const std::string& value) -> std::string {
               expiry_ = value == "none" ? util::Duration::zero() : util::parse_duration(value);
               if (expiry_ && (value == "none" || *expiry_ != util::Duration::zero())) return {};
               return std::string(util::kDurationForms) + ", more than 0, or none";
             }});
}

void ExpiryOption::fill(run::Request& request, const std::optional<util::Duration>& preset) const {
  const std::optional<util::Duration>& expiry = expiry_ ? expiry_ : preset;
  if (expiry && *expiry != util::Duration::zero()) request.claim.expiry = expiry;
}

std::optional<store::ShedAt> parse_occupancy(std::string_view text) noexcept {
  store::ShedAt result;
  if (!text.ends_with('%')) {
    const auto slots = util::parse_integer(text, 0, kLargestNumber);
    if (!slots) return std::nullopt;
    result.slots = *slots;
    return result;
  }
  text.remove_suffix(1);
  double percent = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, percent, std::chars_format::fixed);
  // Written so that what is no number is refused as well.
  if (failure != std::errc() || stop != end || !(percent >= 0 && percent <= 100))
    return std::nullopt;
  result.percent = percent;
  return result;
}

std::string shown_command(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (text.size() > kShownCommand) break;
    if (&word != &words.front()) text += ' ';
    text += word;
  }
  // Before the cut, which could take the end off that a password is known by.
  if (util::has_password(text)) text = util::without_passwords(text);
  text.resize(util::cut(text, kShownCommand).size());
  return text;
}

store::Who who_am_i(const std::vector<std::string>& command) {
  store::Who who;
  who.pid = ::getpid();
  who.uid = ::geteuid();
  who.host = util::host_name();
  who.command = shown_command(command);
  return who;
}

}  // namespace cachify::cli

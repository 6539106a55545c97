#include "setting_rows.h"

#include "util/parse.h"

namespace cachify {

namespace {

using Accepts = SettingRow::Accepts;

std::string set_duration(std::optional<util::Duration>& target, const std::string& value) {
  target = util::parse_duration(value);
  return target ? std::string() : std::string(util::kDurationForms);
}

std::string set_expiry(std::optional<util::Duration>& target, const std::string& value) {
  target = value == "none" ? util::Duration::zero() : util::parse_duration(value);
  const bool fits = target && (value == "none" || *target != util::Duration::zero());
  return fits ? std::string() : std::string(util::kDurationForms) + ", more than 0, or none";
}

std::string set_switch(bool& target, bool& opposite, const std::string& value) {
  const auto parsed = util::parse_switch(value);
  if (!parsed) return std::string(util::kSwitchForms);
  target = *parsed;
  if (target) opposite = false;
  return {};
}

constexpr SettingRow kRows[] = {
    {"store", Accepts::text,
     [](Settings& s, const std::string& value) -> std::string {
       if (value.empty()) return "a URL";
       s.store = value;
       return {};
     }},
    {"prefix", Accepts::text,
     [](Settings& s, const std::string& value) -> std::string {
       if (value.size() > kLongestPrefix) return "a text of at most 128 bytes";
       s.prefix = value;
       return {};
     }},
    {"slot-exp", Accepts::number,
     [](Settings& s, const std::string& value) { return set_expiry(s.slot_exp, value); }},
    {"exp", Accepts::number,
     [](Settings& s, const std::string& value) { return set_expiry(s.exp, value); }},
    {"timeout", Accepts::number,
     [](Settings& s, const std::string& value) -> std::string {
       s.timeout_none = value == "none";
       s.timeout.reset();
       if (s.timeout_none) return {};
       const std::string expected = set_duration(s.timeout, value);
       return expected.empty() ? expected : expected + ", or none";
     }},
    {"on-lost", Accepts::text,
     [](Settings& s, const std::string& value) -> std::string {
       s.on_lost = parse_on_lost(value);
       return s.on_lost ? "" : "warn, term or kill";
     }},
    {"kill-after", Accepts::number,
     [](Settings& s, const std::string& value) { return set_duration(s.kill_after, value); }},
    {"conflict-exit-code", Accepts::number,
     [](Settings& s, const std::string& value) -> std::string {
       const auto code = util::parse_integer(value, 0, 255);
       if (!code) return "a whole number from 0 to 255";
       s.conflict_exit_code = static_cast<int>(*code);
       return {};
     }},
    {"quiet", Accepts::toggle,
     [](Settings& s, const std::string& value) { return set_switch(s.quiet, s.verbose, value); }},
    {"verbose", Accepts::toggle,
     [](Settings& s, const std::string& value) { return set_switch(s.verbose, s.quiet, value); }},
    {"redis-password", Accepts::text,
     [](Settings& s, const std::string& value) -> std::string {
       s.redis_password = value;
       return {};
     }},
};

}  // namespace

std::optional<run::OnLost> parse_on_lost(std::string_view text) noexcept {
  if (text == "warn") return run::OnLost::warn;
  if (text == "term") return run::OnLost::term;
  if (text == "kill") return run::OnLost::kill;
  return std::nullopt;
}

const SettingRow* find_setting(std::string_view name) noexcept {
  for (const SettingRow& row : kRows)
    if (row.name == name) return &row;
  return nullptr;
}

std::vector<std::string_view> setting_names() {
  std::vector<std::string_view> names;
  for (const SettingRow& row : kRows) names.push_back(row.name);
  return names;
}

const SettingRow* find_setting_of_variable(std::string_view variable) noexcept {
  constexpr std::string_view kStart = "CACHIFY_";
  if (!variable.starts_with(kStart)) return nullptr;
  variable.remove_prefix(kStart.size());
  const auto matches = [&](std::string_view name) {
    if (name.size() != variable.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      const char upper = name[i] == '-' ? '_' : static_cast<char>(name[i] - 'a' + 'A');
      if (upper != variable[i]) return false;
    }
    return true;
  };
  for (const SettingRow& row : kRows)
    if (matches(row.name)) return &row;
  return nullptr;
}

}  // namespace cachify

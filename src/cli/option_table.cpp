#include "cli/option_table.h"

#include "util/parse.h"

namespace cachify::cli {

const Option* OptionTable::find(std::string_view name) const noexcept {
  for (const Option& option : options_)
    if (option.name == name) return &option;
  return nullptr;
}

const Option* OptionTable::find(char letter) const noexcept {
  for (const Option& option : options_)
    if (option.letter == letter && letter != 0) return &option;
  return nullptr;
}

Setter into_switch(bool& target) {
  return [&target](const std::string&) -> std::string {
    target = true;
    return {};
  };
}

Setter into_text(std::optional<std::string>& target) {
  return [&target](const std::string& value) -> std::string {
    if (value.empty()) return "a text that is not empty";
    target = value;
    return {};
  };
}

Setter into_integer(std::optional<int64_t>& target, int64_t min, int64_t max) {
  return [&target, min, max](const std::string& value) -> std::string {
    target = util::parse_integer(value, min, max);
    if (target) return {};
    if (min == max) return std::to_string(min);
    return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
  };
}

Setter into_duration(std::optional<util::Duration>& target) {
  return [&target](const std::string& value) -> std::string {
    target = util::parse_duration(value);
    return target ? std::string() : std::string(util::kDurationForms);
  };
}

}  // namespace cachify::cli

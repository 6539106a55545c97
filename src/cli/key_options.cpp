#include "cli/key_options.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "errors.h"

namespace cachify::cli {

namespace {

std::string_view help_of_key(bool with_command, bool several) {
  if (several) {
    return "The name that all callers share. A format string: {name} comes from --arg, {0} is "
           "COMMAND, {1}... are its arguments; {{ and }} are literal. Given several times: all of "
           "these locks or none";
  }
  if (with_command) {
    return "The name that all callers share. A format string: {name} comes from --arg, {0} is "
           "COMMAND, {1}... are its arguments; {{ and }} are literal";
  }
  return "The name that all callers share. A format string: {name} comes from --arg; {{ and }} are "
         "literal";
}

}  // namespace

void KeyOptions::add_to(OptionTable& table, bool with_command, bool several, char letter) {
  table.add({letter, "key", "KEY", help_of_key(with_command, several),
             [this](const std::string& value) -> std::string {
               formats_.push_back(value);
               return {};
             }});
  table.add({'a', "arg", "NAME=VALUE", "Fills {NAME} in KEY; may be repeated",
             [this](const std::string& value) -> std::string {
               const size_t equals = value.find('=');
               const std::string name = value.substr(0, equals);
               if (equals == std::string::npos || !is_field_name(name))
                 return "NAME=VALUE, NAME being letters, digits and _";
               named_.emplace_back(name, value.substr(equals + 1));
               return {};
             }});
}

std::string KeyOptions::resolve(const std::vector<std::string>& command) const {
  if (formats_.empty()) throw UsageError("a key is missing; give --key KEY");
  if (formats_.size() > 1) throw UsageError("--key was given several times; give one key");
  return resolve_key(formats_.front(), named_, command);
}

std::vector<std::string> KeyOptions::resolve_all(const std::vector<std::string>& command) const {
  if (formats_.size() <= 1) return {resolve(command)};
  std::vector<std::string> keys;
  for (const std::string& format : formats_) {
    std::string key = resolve_key(format, named_, command);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace cachify::cli

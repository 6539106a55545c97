#include "cli/key_options.h"

#include "errors.h"

namespace cachify::cli {

void KeyOptions::add_to(OptionTable& table, bool with_command, char letter) {
  table.add({letter, "key", "KEY",
             with_command
                 ? "The name that all callers share. A format string: {name} comes from --arg, {0} "
                   "is COMMAND, {1}... are its arguments; {{ and }} are literal"
                 : "The name that all callers share. A format string: {name} comes from --arg; "
                   "{{ and }} are literal",
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

}  // namespace cachify::cli

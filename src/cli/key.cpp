#include "cli/key.h"

#include <algorithm>

#include "errors.h"
#include "util/parse.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

std::string what_fills(const std::vector<std::string>& command) {
  if (command.empty()) return "COMMAND and its arguments are not given here";
  if (command.size() == 1) return "COMMAND is {0}, and has no arguments";
  return "COMMAND and its arguments are {0} to {" + std::to_string(command.size() - 1) + "}";
}

const std::string& value_of(std::string_view field, const NamedValues& named,
                            const std::vector<std::string>& command) {
  const std::string shown = util::quoted("{" + std::string(field) + "}");
  if (is_field_name(field)) {
    const auto found = std::find_if(named.rbegin(), named.rend(),
                                    [&](const auto& entry) { return entry.first == field; });
    if (found == named.rend())
      throw UsageError("nothing fills " + shown + " in the key; give --arg " +
                       std::string(util::cut(field, 60)) + "=VALUE");
    return found->second;
  }
  if (!field.empty() && std::all_of(field.begin(), field.end(), is_digit)) {
    const auto index = util::parse_integer(field, 0, INT64_MAX);
    if (!index || static_cast<uint64_t>(*index) >= command.size())
      throw UsageError("nothing fills " + shown + " in the key; " + what_fills(command));
    return command[static_cast<size_t>(*index)];
  }
  throw UsageError("the key has " + shown +
                   ", which is no field; write {{ and }} where braces are meant");
}

}  // namespace

bool is_field_name(std::string_view text) noexcept {
  return !text.empty() && is_letter(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

std::string resolve_key(std::string_view format, const NamedValues& named,
                        const std::vector<std::string>& command) {
  std::string key;
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if (c != '{' && c != '}') {
      key += c;
    } else if (i + 1 < format.size() && format[i + 1] == c) {
      key += c;
      ++i;
    } else {
      const size_t end = c == '{' ? format.find_first_of("{}", i + 1) : std::string_view::npos;
      if (end == std::string_view::npos || format[end] == '{')
        throw UsageError("the key " + util::quoted(format) + " has a lone '" + std::string(1, c) +
                         "'; write it twice where a brace is meant");
      key += value_of(format.substr(i + 1, end - i - 1), named, command);
      i = end;
    }
  }
  if (key.empty()) throw UsageError("the key is empty; give it a name");
  if (key.size() > kLongestKey)
    throw UsageError("the key has " + std::to_string(key.size()) + " bytes; at most " +
                     std::to_string(kLongestKey) + " are possible");
  return key;
}

}  // namespace cachify::cli

#include "cli/commands.h"

#include <string>
#include <vector>

#include "cli/suggest.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

constexpr CommandRow kCommands[] = {
    {"lock", "is-locked", "Tell by the exit code whether a lock is held", make_lock_is_locked},
    {"lock", "run", "Run a command that must not run twice at a time", make_lock_run},
    {"pool", "map", "Run a command for each item, in the slots of a pool", make_pool_map},
    {"pool", "run", "Run a command in one of N slots", make_pool_run},
    {"pool", "size", "Print how many slots are in use", make_pool_size},
};

std::string with_suggestion(const std::string& text, std::string_view word,
                            const std::vector<std::string_view>& names) {
  const std::string_view near = nearest(word, names);
  if (!near.empty()) return text + "; did you mean " + std::string(near) + "?";
  return text + "; see cachify help";
}

}  // namespace

std::span<const CommandRow> commands() noexcept {
  return kCommands;
}

bool is_noun(std::string_view word) noexcept {
  for (const CommandRow& row : kCommands)
    if (row.noun == word) return true;
  return false;
}

const CommandRow* find_command(std::string_view noun, std::string_view verb) noexcept {
  for (const CommandRow& row : kCommands)
    if (row.noun == noun && row.verb == verb) return &row;
  return nullptr;
}

std::string unknown_noun(std::string_view noun) {
  std::vector<std::string_view> names = {"help"};
  for (const CommandRow& row : kCommands) names.push_back(row.noun);
  return with_suggestion("unknown command " + util::quoted(noun), noun, names);
}

std::string unknown_verb(std::string_view noun, std::string_view verb) {
  std::vector<std::string_view> names;
  for (const CommandRow& row : kCommands)
    if (row.noun == noun) names.push_back(row.verb);
  return with_suggestion(std::string(noun) + " has no verb " + util::quoted(verb), verb, names);
}

}  // namespace cachify::cli

#include "cli/commands.h"

#include <string>
#include <vector>

#include "util/suggest.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

constexpr CommandRow kCommands[] = {
    {"pool", "run", "Run a command in one of N slots", "cachify-pool", make_pool_run},
    {"pool", "map", "Run a command for each item, in slots", "cachify-pool-map", make_pool_map},
    {"pool", "status", "Show who holds a pool's slots, and who waits", "cachify-status",
     make_pool_status},
    {"pool", "list", "Print every pool that is in use", "cachify-status", make_pool_list},
    {"pool", "size", "Print how many slots are in use", "cachify-status", make_pool_size},
    {"pool", "wait", "Wait until a pool is free, empty or idle", "cachify-pool", make_pool_wait},
    {"pool", "resize", "Store a number of slots for everyone", "cachify-pool", make_pool_resize},
    {"pool", "close", "Refuse newcomers", "cachify-pool", make_pool_close},
    {"pool", "open", "Let newcomers in again", "cachify-pool", make_pool_open},
    {"pool", "acquire", "Take a slot without a command, until release", "cachify-pool",
     make_pool_acquire},
    {"pool", "release", "Give a slot back, also somebody else's", "cachify-pool",
     make_pool_release},
    {"lock", "run", "Run a command that must not run twice at a time", "cachify-lock",
     make_lock_run},
    {"lock", "is-locked", "Tell by the exit code whether a lock is held", "cachify-lock",
     make_lock_is_locked},
    {"lock", "status", "Show who holds a lock, and who waits", "cachify-status", make_lock_status},
    {"lock", "list", "Print every lock that is in use", "cachify-status", make_lock_list},
    {"lock", "acquire", "Take a lock without a command, until release", "cachify-lock",
     make_lock_acquire},
    {"lock", "release", "Give a lock back, also somebody else's", "cachify-lock",
     make_lock_release},
    {"resource", "run", "Run a command with a resource of its own", "cachify-resource",
     make_resource_run},
    {"resource", "status", "Show the resources, their health and who has them", "cachify-status",
     make_resource_status},
    {"resource", "add", "Add a resource to those that are lent", "cachify-resource",
     make_resource_add},
    {"resource", "remove", "Take a resource out of those that are lent", "cachify-resource",
     make_resource_remove},
    {"resource", "stop", "Destroy all resources of a key", "cachify-resource", make_resource_stop},
    {"doctor", "", "Check the store that would be used, and say what to do", "cachify-status",
     make_doctor},
};

std::string with_suggestion(const std::string& text, std::string_view word,
                            const std::vector<std::string_view>& names) {
  const std::string_view near = util::nearest(word, names);
  if (!near.empty()) return text + "; did you mean " + std::string(near) + "?";
  return text + "; see cachify help";
}

// "pool status, lock status or resource status": the commands with this verb.
std::string with_verb(std::string_view verb) {
  std::vector<std::string> names;
  for (const CommandRow& row : kCommands)
    if (!verb.empty() && row.verb == verb) names.push_back(name_of(row));
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
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

std::string name_of(const CommandRow& row) {
  std::string name(row.noun);
  if (!row.verb.empty()) name.append(" ").append(row.verb);
  return name;
}

const CommandRow* find_command(std::string_view noun, std::string_view verb) noexcept {
  for (const CommandRow& row : kCommands)
    if (row.noun == noun && row.verb == verb) return &row;
  return nullptr;
}

const CommandRow* only_command_with(std::string_view verb) noexcept {
  const CommandRow* found = nullptr;
  for (const CommandRow& row : kCommands) {
    if (verb.empty() || row.verb != verb) continue;
    if (found != nullptr) return nullptr;
    found = &row;
  }
  return found;
}

std::string unknown_noun(std::string_view noun) {
  std::vector<std::string_view> names = {"help"};
  for (const CommandRow& row : kCommands) names.push_back(row.noun);
  const std::string text = "unknown command " + util::quoted(noun);
  const std::string complete = with_verb(noun);
  return complete.empty() ? with_suggestion(text, noun, names)
                          : text + "; did you mean " + complete + "?";
}

std::string unknown_verb(std::string_view noun, std::string_view verb) {
  std::vector<std::string_view> names;
  for (const CommandRow& row : kCommands)
    if (row.noun == noun && !row.verb.empty()) names.push_back(row.verb);
  return with_suggestion(std::string(noun) + " has no verb " + util::quoted(verb), verb, names);
}

}  // namespace cachify::cli

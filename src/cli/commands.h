#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cli/command.h"

namespace cachify::cli {

struct CommandRow {
  std::string_view noun;
  std::string_view verb;  // empty: the noun is the whole command
  std::string_view summary;
  std::string_view page;  // of the manual, section 1
  std::unique_ptr<Command> (*make)();
};

// As help lists them: those of a noun together, what people look for first.
std::span<const CommandRow> commands() noexcept;

// "pool run", "doctor".
std::string name_of(const CommandRow& row);

bool is_noun(std::string_view word) noexcept;
const CommandRow* find_command(std::string_view noun, std::string_view verb) noexcept;
// The one command with this verb; null: there is none, or several nouns have it.
const CommandRow* only_command_with(std::string_view verb) noexcept;

// For UsageError: what is wrong with a noun or verb that is not in the table.
std::string unknown_noun(std::string_view noun);
std::string unknown_verb(std::string_view noun, std::string_view verb);

}  // namespace cachify::cli

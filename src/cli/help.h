#pragma once

#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/option_table.h"

// Help texts, all of them within 80 columns.
namespace cachify::cli {

std::string general_help();
std::string noun_help(std::string_view noun);
std::string command_help(const CommandRow& row);

}  // namespace cachify::cli

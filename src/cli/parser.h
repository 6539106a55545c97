#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/option_table.h"

namespace cachify::cli {

// One occurrence of an option on the command line.
struct Given {
  const Option* option;
  std::string value;
};

// True when `word`, read as an option, takes the next word as its value.
bool takes_next_word(const OptionTable& table, const std::string& word) noexcept;

// Reads `words` (what stands before `--`, without noun and verb) by the table, in order. Values are
// not looked at yet. Throws UsageError: unknown option (naming a near one), missing value, a value
// for a switch, a word that is no option.
std::vector<Given> read_options(const OptionTable& table, const std::vector<std::string>& words);

}  // namespace cachify::cli

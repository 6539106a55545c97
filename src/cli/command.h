#pragma once

#include <string>
#include <vector>

#include "run/run.h"
#include "settings.h"

// How to add a command: write cli/NOUN_VERB.cpp with one class derived from Command, declare its
// factory below and add a row to the table in cli/commands.cpp. Help, completions and manual are
// compared with that table by the tests.
namespace CLI {
class App;
}

namespace cachify::cli {

// One verb. Only the chosen command's options are ever built: the start is the product.
class Command {
 public:
  virtual ~Command() = default;
  virtual void add_options(CLI::App& app) = 0;
  // `command` is what stood behind `--`. Throws Error.
  virtual run::Ending execute(const Settings& settings,
                              const std::vector<std::string>& command) = 0;
};

}  // namespace cachify::cli

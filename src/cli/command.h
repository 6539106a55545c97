#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option_table.h"
#include "run/run.h"
#include "settings.h"

// How to add a command: write cli/NOUN_VERB.cpp with one class derived from Command, declare its
// factory below and add a row to the table in cli/commands.cpp, with its manual page. Help,
// completions and manual are compared with that table by the tests.
namespace cachify::cli {

// What help says about a verb besides its options.
struct Manual {
  std::string_view usage;  // behind "cachify ", wrapped by hand
  std::string_view about;  // paragraphs, each a line of any length
  std::string_view examples[2];
};

// One verb. Only the chosen command's options are ever built: the start is the product.
class Command {
 public:
  virtual ~Command() = default;
  virtual const Manual& manual() const noexcept = 0;
  // The rows fill members of this command.
  virtual void add_options(OptionTable& table) = 0;
  // COMMAND behind `--`: must be there, or must not.
  virtual bool takes_command() const noexcept = 0;
  // Called once, after the options were read. `command` is what stood behind `--`. Throws Error.
  virtual run::Ending execute(const Settings& settings,
                              const std::vector<std::string>& command) = 0;
};

std::unique_ptr<Command> make_doctor();
std::unique_ptr<Command> make_lock_acquire();
std::unique_ptr<Command> make_lock_is_locked();
std::unique_ptr<Command> make_lock_list();
std::unique_ptr<Command> make_lock_release();
std::unique_ptr<Command> make_lock_run();
std::unique_ptr<Command> make_lock_status();
std::unique_ptr<Command> make_pool_acquire();
std::unique_ptr<Command> make_pool_close();
std::unique_ptr<Command> make_pool_list();
std::unique_ptr<Command> make_pool_map();
std::unique_ptr<Command> make_pool_open();
std::unique_ptr<Command> make_pool_release();
std::unique_ptr<Command> make_pool_resize();
std::unique_ptr<Command> make_pool_run();
std::unique_ptr<Command> make_pool_size();
std::unique_ptr<Command> make_pool_status();
std::unique_ptr<Command> make_pool_wait();
std::unique_ptr<Command> make_resource_add();
std::unique_ptr<Command> make_resource_remove();
std::unique_ptr<Command> make_resource_run();
std::unique_ptr<Command> make_resource_status();
std::unique_ptr<Command> make_resource_stop();

}  // namespace cachify::cli

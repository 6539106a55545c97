#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/definition_options.h"
#include "cli/run_options.h"

namespace cachify::cli {

class ResourceRun : public Command {
 public:
  const Manual& manual() const noexcept override;
  void add_options(OptionTable& table) override;
  bool takes_command() const noexcept override { return true; }
  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override;

  // What the options ask for, but for what the callers have agreed on. Throws UsageError.
  run::Request request(const Settings& settings, const std::vector<std::string>& command) const;

 private:
  KeyOptions key_;
  DefinitionOptions definition_;
  std::optional<int64_t> count_;
  WaitOptions wait_;
  std::optional<store::ShedAt> shed_at_;
  RefusalOptions refusal_;
  CommandOptions command_;
};

}  // namespace cachify::cli

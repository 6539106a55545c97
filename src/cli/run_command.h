#pragma once

#include <string>
#include <vector>

#include "cli/claim_options.h"
#include "cli/command.h"

namespace cachify::cli {

// `pool run` and `lock run`.
class RunCommand : public Command {
 public:
  explicit RunCommand(store::Kind kind) : kind_(kind), claim_(kind, /*with_command=*/true) {}
  const Manual& manual() const noexcept override;
  void add_options(OptionTable& table) override;
  bool takes_command() const noexcept override { return true; }
  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override;

  // What the options ask for. Throws UsageError.
  run::Request request(const Settings& settings, const std::vector<std::string>& command) const;

 private:
  const store::Kind kind_;
  ClaimOptions claim_;
  CommandOptions command_;
};

}  // namespace cachify::cli

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/run_options.h"

namespace cachify::cli {

// What is asked of a key, and how patiently: what `run` and `acquire` of pools and locks share.
class ClaimOptions {
 public:
  // `with_command`: for `run`, whose COMMAND can fill fields of the key.
  ClaimOptions(store::Kind kind, bool with_command) : kind_(kind), with_command_(with_command) {}
  void add_to(OptionTable& table);
  // `request.kill_after` must be there already. `command` is empty for `acquire`. Throws
  // UsageError.
  void fill(run::Request& request, const Settings& settings,
            const std::vector<std::string>& command) const;

 private:
  bool is_pool() const noexcept { return kind_ == store::Kind::pool; }

  const store::Kind kind_;
  const bool with_command_;
  KeyOptions key_;
  std::optional<int64_t> max_;  // pools
  bool shared_ = false;         // locks
  std::optional<int64_t> weight_;
  ExpiryOption expiry_;
  WaitOptions wait_;
  std::optional<store::ShedAt> shed_at_;  // pools
  ReplaceOption replace_;
  RefusalOptions refusal_;
};

}  // namespace cachify::cli

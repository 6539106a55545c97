#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/run_options.h"
#include "map/request.h"

namespace cachify::cli {

class PoolMap : public Command {
 public:
  const Manual& manual() const noexcept override;
  void add_options(OptionTable& table) override;
  bool takes_command() const noexcept override { return true; }
  run::Ending execute(const Settings& settings, const std::vector<std::string>& command) override;

  // What the options ask for. Throws UsageError.
  map::Request request(const Settings& settings, const std::vector<std::string>& command) const;

 private:
  void add_item_options(OptionTable& table);
  void add_output_options(OptionTable& table);
  void add_end_options(OptionTable& table);

  KeyOptions key_;
  std::optional<int64_t> max_;
  std::optional<int64_t> reserve_;
  WaitOptions wait_;
  std::optional<int64_t> conflict_exit_code_;
  CommandOptions command_;

  std::optional<std::string> input_;
  bool null_ = false;
  std::optional<std::string> colsep_;
  bool header_ = false;
  bool jsonl_ = false;
  bool strict_ = false;
  std::optional<int64_t> queue_;

  bool keep_order_ = false;
  bool tag_ = false;
  bool dry_run_ = false;
  bool progress_ = false;
  std::optional<std::string> results_;
  std::optional<std::string> joblog_;
  bool resume_ = false;
  bool resume_failed_ = false;

  std::optional<int64_t> retries_;
  map::Halt halt_ = map::Halt::never;
  std::optional<util::Duration> idle_timeout_;
  std::optional<util::Duration> total_timeout_;
};

}  // namespace cachify::cli

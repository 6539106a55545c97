#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/key_options.h"
#include "cli/option_table.h"
#include "run/run.h"
#include "settings.h"

// Options that more than one verb has, each group a class whose members its rows fill, and which
// then knows how to put them, or else the defaults of the place, into a request.
namespace cachify::cli {

inline constexpr int64_t kLargestNumber = INT32_MAX;
inline constexpr util::Duration kDefaultKillAfter = std::chrono::seconds(10);

// --timeout.
class TimeoutOption {
 public:
  void add_to(OptionTable& table, std::string_view help);
  bool given() const noexcept { return timeout_ || none_; }
  // How long this call may wait, its own word before the place's. `asked`: it was told to wait by
  // another option, or waiting is all it does; then a 0 of the place does not count.
  struct Patience {
    bool wait = false;
    std::optional<util::Duration> timeout;  // with wait; none: as long as it takes
  };
  Patience patience(const Settings& settings, bool asked) const;

 private:
  std::optional<util::Duration> timeout_;
  bool none_ = false;
};

// --wait and what else concerns the queue.
class WaitOptions {
 public:
  // `asked`: as for fill.
  void add_to(OptionTable& table, bool asked = false);
  // `asked`: as for TimeoutOption, besides --wait.
  void fill(run::Request& request, const Settings& settings, bool asked = false) const;

 private:
  bool wait_ = false;
  TimeoutOption timeout_;
  std::optional<int64_t> priority_;
  std::optional<int64_t> queue_max_;
};

// --replace. Implies waiting.
class ReplaceOption {
 public:
  void add_to(OptionTable& table);
  bool given() const noexcept { return replace_.has_value(); }
  // After the request knows whether it waits (who does not replaces nobody), and its kill_after.
  void fill(run::Request& request) const;

 private:
  std::optional<store::Replace> replace_;
};

// What happens instead of 75 and 124.
class RefusalOptions {
 public:
  // --on-full only where there is a COMMAND for it.
  void add_to(OptionTable& table, bool with_command = true);
  void fill(run::Request& request, const Settings& settings) const;

 private:
  std::optional<int64_t> conflict_exit_code_;
  std::optional<std::string> on_full_;
};

// --kill-after.
class KillAfterOption {
 public:
  void add_to(OptionTable& table, std::string_view help);
  util::Duration value(const Settings& settings) const;

 private:
  std::optional<util::Duration> kill_after_;
};

// How COMMAND is treated while it runs.
class CommandOptions {
 public:
  // `with_group`: COMMAND has a process group of its own only where --group says so.
  void add_to(OptionTable& table, std::string_view on_lost_help, bool with_group = true);
  void fill(run::Request& request, const Settings& settings, run::OnLost default_on_lost) const;

 private:
  std::optional<run::OnLost> on_lost_;
  KillAfterOption kill_after_;
  bool group_ = false;
  bool no_inherit_ = false;
};

// --slot-exp of pools, --exp of locks.
class ExpiryOption {
 public:
  void add_to(OptionTable& table, std::string_view name, std::string_view help);
  // `preset` is the default of the place.
  void fill(run::Request& request, const std::optional<util::Duration>& preset) const;

 private:
  std::optional<util::Duration> expiry_;  // 0 stands for `none`
};

// A number of slots or a share of the cap, as --shed-at and --below take it.
std::optional<store::ShedAt> parse_occupancy(std::string_view text) noexcept;
inline constexpr std::string_view kOccupancyForms =
    "a number of slots such as 3, or a percentage from 0% to 100%";

// A command line as others are to see it: blanks between, cut to what stores keep.
std::string shown_command(const std::vector<std::string>& words);

// This process as others are to see it.
store::Who who_am_i(const std::vector<std::string>& command);

}  // namespace cachify::cli

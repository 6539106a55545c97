#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "settings.h"

// The settings by name, for the environment and the configuration file alike. To add one, add a
// row in setting_rows.cpp: `slot-exp` is then CACHIFY_SLOT_EXP and `slot-exp = "600s"`.
namespace cachify {

struct SettingRow {
  std::string_view name;
  // Which values of the configuration file fit; a string always does, in the form of the variable.
  enum class Accepts { text, number, toggle } accepts;
  // Says what would have fitted; empty: it did, and was applied.
  std::string (*apply)(Settings& settings, const std::string& value);
};

const SettingRow* find_setting(std::string_view name) noexcept;
std::vector<std::string_view> setting_names();
// CACHIFY_SLOT_EXP -> the row of slot-exp; nullptr for a variable that is no setting.
const SettingRow* find_setting_of_variable(std::string_view variable) noexcept;

inline constexpr size_t kLongestPrefix = 128;

// Applies the file at `path` to `settings`: its top level, then `profile` (empty: its
// default-profile, if any). False when there is no such file. Throws ConfigError with FILE:LINE.
bool apply_config_file(Settings& settings, const std::string& path, const std::string& profile);

}  // namespace cachify

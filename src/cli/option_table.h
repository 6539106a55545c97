#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/time.h"

namespace cachify::cli {

// Takes the value of an option as it was given (empty for a switch). Returns what would have
// fitted, as in "must be ..."; empty: it fitted. Called once for each time the option is given, in
// order, so that the last one wins where it overwrites.
using Setter = std::function<std::string(const std::string& value)>;

// One option, for the parser, the help texts and the tests that compare these with the documents.
// The texts are literals.
struct Option {
  char letter;             // 0: none
  std::string_view name;   // without the dashes
  std::string_view value;  // as help names it; empty: a switch
  std::string_view help;
  Setter set;
  std::string_view group = {};
};

class OptionTable {
 public:
  OptionTable() { options_.reserve(32); }
  // The options added from here on stand under this heading.
  void start_group(std::string_view title) { group_ = title; }
  void add(Option option) {
    option.group = group_;
    options_.push_back(std::move(option));
  }

  // Whose options these are, such as "pool run", for messages; empty: nobody's in particular.
  void name_topic(std::string_view topic, bool takes_command) {
    topic_ = topic;
    takes_command_ = takes_command;
  }

  const std::vector<Option>& options() const noexcept { return options_; }
  const std::string& topic() const noexcept { return topic_; }
  bool takes_command() const noexcept { return takes_command_; }
  const Option* find(std::string_view name) const noexcept;
  const Option* find(char letter) const noexcept;

 private:
  std::vector<Option> options_;
  std::string_view group_;
  std::string topic_;
  bool takes_command_ = false;
};

// Setters for the usual kinds of values. The target must outlive the table.
Setter into_switch(bool& target);
Setter into_text(std::optional<std::string>& target);  // not empty
Setter into_integer(std::optional<int64_t>& target, int64_t min, int64_t max);
Setter into_duration(std::optional<util::Duration>& target);

}  // namespace cachify::cli

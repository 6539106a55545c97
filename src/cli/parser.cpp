// The only file that includes CLI11, which brings <iostream> and its start-up cost with it.
#include "cli/parser.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "errors.h"
#include "util/suggest.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

bool is_long(std::string_view word) noexcept {
  return word.size() > 2 && word.starts_with("--");
}
bool is_cluster(std::string_view word) noexcept {
  return word.size() > 1 && word[0] == '-' && word[1] != '-';
}

// CLI11 reads `--name=` as if the next word were the value, and takes `--switch=true`. Here the
// first becomes two words, the value being empty, and the second is refused.
std::vector<std::string> normalized(const OptionTable& table,
                                    const std::vector<std::string>& words) {
  std::vector<std::string> result;
  result.reserve(words.size() + 1);
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const size_t equals = is_long(word) ? word.find('=') : std::string::npos;
    const Option* option = equals == std::string::npos
                               ? nullptr
                               : table.find(std::string_view(word).substr(2, equals - 2));
    if (option != nullptr && option->value.empty())
      throw UsageError("--" + std::string(option->name) + " takes no value; leave out " +
                       util::quoted(std::string_view(word).substr(equals)));
    if (option != nullptr && equals + 1 == word.size()) {
      result.push_back(word.substr(0, equals));
      result.emplace_back();
      continue;
    }
    result.push_back(word);
    if (takes_next_word(table, word) && i + 1 < words.size()) result.push_back(words[++i]);
  }
  return result;
}

// Building an option costs CLI11 more than reading one, so only those that can occur are built.
bool may_occur(const Option& option, const std::vector<std::string>& words) noexcept {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    if (is_long(word)) return word.substr(2).starts_with(option.name);
    return is_cluster(word) && option.letter != 0 &&
           word.find(option.letter) != std::string_view::npos;
  });
}

std::string see_help(const OptionTable& table) {
  return "see cachify help" + (table.topic().empty() ? "" : " " + table.topic());
}

// In pool map, -k is what it is for GNU parallel; who means the key finds it taken as a word.
std::string command_stands_behind(const OptionTable& table) {
  const Option* option = table.find('k');
  const bool taken = option != nullptr && option->name != "key";
  return "-- must stand before COMMAND and its arguments" +
         (taken ? ", and --key before KEY (here -k is --" + std::string(option->name) + ")" : "");
}

// For who has written a key, most likely, as an argument of a verb that has none.
std::string no_arguments(const OptionTable& table) {
  const std::string_view topic = table.topic();
  constexpr std::string_view kList = " list";
  if (!topic.ends_with(kList)) return see_help(table);
  return std::string(topic) + " shows every key; one alone is shown by cachify " +
         std::string(topic.substr(0, topic.size() - kList.size())) + " status --key KEY";
}

// Where to look when an option is unknown, and nothing is near it.
std::string see_options(const OptionTable& table) {
  return (table.topic().empty() ? "; those of a verb stand behind it, " : "; ") + see_help(table);
}

[[noreturn]] void refuse_word(const OptionTable& table, const std::string& word) {
  if (!is_long(word) && !is_cluster(word)) {
    throw UsageError("unexpected " + util::quoted(word) + "; " +
                     (table.takes_command()          ? command_stands_behind(table)
                      : table.find("key") != nullptr ? "a key is given as --key KEY"
                                                     : no_arguments(table)));
  }
  if (!is_long(word)) {
    const size_t letter = std::max<size_t>(1, util::utf8_length(std::string_view(word).substr(1)));
    throw UsageError("unknown option " + util::quoted(word.substr(0, 1 + letter)) +
                     see_options(table));
  }
  const std::string name = word.substr(2, word.find('=') - 2);
  std::vector<std::string_view> names;
  for (const Option& option : table.options()) names.push_back(option.name);
  const std::string_view near = util::nearest(name, names);
  throw UsageError(
      "unknown option " + util::quoted("--" + name) +
      (near.empty() ? see_options(table) : "; did you mean --" + std::string(near) + "?"));
}

// What stands behind the option that ends this word, as help has it.
std::string value_of(const OptionTable& table, const std::string& word) {
  const Option* option =
      is_long(word) ? table.find(std::string_view(word).substr(2)) : table.find(word.back());
  return option == nullptr ? "" : ", " + std::string(option->value);
}

}  // namespace

bool takes_next_word(const OptionTable& table, const std::string& word) noexcept {
  if (is_long(word)) {
    const Option* option = table.find(std::string_view(word).substr(2));
    return option != nullptr && !option->value.empty();
  }
  if (!is_cluster(word)) return false;
  for (size_t i = 1; i < word.size(); ++i) {
    const Option* option = table.find(word[i]);
    if (option == nullptr) return false;
    if (!option->value.empty()) return i + 1 == word.size();
  }
  return false;
}

std::vector<Given> read_options(const OptionTable& table, const std::vector<std::string>& words) {
  if (words.empty()) return {};
  std::vector<std::string> left = normalized(table, words);
  CLI::App app;
  app.set_help_flag();  // --help is a row of the table
  app.allow_extras();

  std::vector<std::pair<CLI::Option*, const Option*>> built;
  for (const Option& option : table.options()) {
    if (!may_occur(option, left)) continue;
    std::string names = "--" + std::string(option.name);
    if (option.letter != 0) names += std::string(",-") + option.letter;
    CLI::Option* parsed = app.add_option(names, CLI::callback_t());
    parsed->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (option.value.empty()) parsed->expected(0);
    built.emplace_back(parsed, &option);
  }

  std::reverse(left.begin(), left.end());  // as CLI11 wants them
  const std::string last = left.empty() ? std::string() : left.front();
  try {
    app.parse(std::move(left));
  } catch (const CLI::ArgumentMismatch&) {
    // Values are taken whatever they look like, so only the last word can lack one.
    throw UsageError("option " + util::quoted(last) + " needs a value" + value_of(table, last));
  } catch (const CLI::Error& failure) {
    throw UsageError(failure.what());
  }
  const std::vector<std::string> extras = app.remaining();
  if (!extras.empty()) refuse_word(table, extras.front());

  std::vector<Given> result;
  std::vector<size_t> seen(built.size());
  for (const CLI::Option* parsed : app.parse_order()) {
    for (size_t i = 0; i < built.size(); ++i) {
      if (built[i].first != parsed) continue;
      const bool has_value = !built[i].second->value.empty();
      result.push_back({built[i].second, has_value ? parsed->results()[seen[i]++] : std::string()});
    }
  }
  return result;
}

}  // namespace cachify::cli

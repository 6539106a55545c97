#include "cli/invocation.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/global_options.h"
#include "cli/help.h"
#include "cli/parser.h"
#include "cli/secrets.h"
#include "errors.h"
#include "settings.h"
#include "store/redis/transport.h"
#include "store/registry.h"
#include "util/log.h"
#include "util/output.h"
#include "util/text.h"

namespace cachify::cli {

namespace {

using Words = std::vector<std::string>;

// The command line, cut at its joints.
struct Invocation {
  Words options;  // those before the noun and those behind the verb
  Words nouns;    // noun and verb, as far as they are there; `help` stands before them
  bool has_separator = false;
  Words command;
};

bool is_option(const std::string& word) noexcept {
  return word.size() > 1 && word[0] == '-';
}

// CLI11 would take `--` for its own, so it is found here.
Invocation cut_up(std::span<char* const> arguments) {
  Invocation result;
  const auto separator = std::find_if(arguments.begin(), arguments.end(), [](const char* word) {
    return std::string_view(word) == "--";
  });
  const Words words(arguments.begin(), separator);
  if (separator != arguments.end()) {
    result.has_separator = true;
    result.command.assign(separator + 1, arguments.end());
  }

  OptionTable table;
  GlobalOptions globals;
  globals.add_to(table);
  size_t i = 0;
  for (; i < words.size() && is_option(words[i]); ++i) {
    result.options.push_back(words[i]);
    if (takes_next_word(table, words[i]) && i + 1 < words.size())
      result.options.push_back(words[++i]);
  }
  // So that an option of a verb before the noun is told as unknown rather than as a noun.
  read_options(table, result.options);
  const size_t nouns = i < words.size() && words[i] == "help" ? 3 : 2;
  for (; i < words.size() && !is_option(words[i]) && result.nouns.size() < nouns; ++i)
    result.nouns.push_back(words[i]);
  result.options.insert(result.options.end(), words.begin() + static_cast<std::ptrdiff_t>(i),
                        words.end());
  return result;
}

void apply(const std::vector<Given>& given) {
  for (const Given& entry : given) {
    const std::string expected = entry.option->set(entry.value);
    if (expected.empty()) continue;
    // The URL of a store may hold a password.
    const bool secret = entry.option->name == "store";
    throw UsageError("--" + std::string(entry.option->name) + " must be " + expected +
                     (secret ? "" : ", not " + util::quoted(entry.value)));
  }
}

bool was_given(const std::vector<Given>& given, std::string_view name) {
  return std::any_of(given.begin(), given.end(),
                     [&](const Given& entry) { return entry.option->name == name; });
}

run::Ending print(const std::string& text) {
  util::write_output(text);
  return {};
}

run::Ending print_version() {
  const std::string tls = store::redis::tls_provider();
  return print("cachify " CACHIFY_VERSION "\nstores: " + store::known_schemes() +
               "\nTLS: " + (tls.empty() ? "none, so no rediss:" : tls) + "\n");
}

// A command has a noun and a verb; a few are a noun alone.
bool names_command(const Words& nouns) noexcept {
  return nouns.size() == 2 || (nouns.size() == 1 && find_command(nouns[0], {}) != nullptr);
}

const CommandRow& command_named(const Words& nouns) {
  if (!is_noun(nouns[0])) throw UsageError(unknown_noun(nouns[0]));
  const std::string verb = nouns.size() == 2 ? nouns[1] : std::string();
  const CommandRow* row = find_command(nouns[0], verb);
  if (row == nullptr && find_command(nouns[0], {}) != nullptr)
    throw UsageError("unexpected " + util::quoted(verb) + "; see cachify help " + nouns[0]);
  if (row == nullptr) throw UsageError(unknown_verb(nouns[0], verb));
  return *row;
}

std::string help_about(const Words& topic) {
  if (topic.empty() || topic[0] == "help") return general_help();
  const CommandRow* row = topic.size() == 1 ? only_command_with(topic[0]) : nullptr;
  if (row != nullptr) return command_help(*row);
  if (!is_noun(topic[0])) throw UsageError(unknown_noun(topic[0]));
  return names_command(topic) ? command_help(command_named(topic)) : noun_help(topic[0]);
}

// `cachify help [NOUN [VERB]]`, and calls that name no command.
run::Ending invoke_without_command(const Invocation& call) {
  const bool asks_help = !call.nouns.empty() && call.nouns[0] == "help";
  Words topic = call.nouns;
  if (asks_help) topic.erase(topic.begin());
  OptionTable table;
  GlobalOptions globals;
  globals.add_to(table);
  try {
    apply(read_options(table, call.options));
  } catch (const UsageError&) {
    // `cachify run -k x`: what is wrong is the noun, and not the options that a verb would have.
    if (!asks_help && !topic.empty() && !is_noun(topic[0]))
      throw UsageError(unknown_noun(topic[0]));
    throw;
  }
  if (globals.help || (asks_help && !call.has_separator)) return print(help_about(topic));
  if (globals.version) return print_version();
  if (asks_help) throw UsageError("help takes no COMMAND; leave out what begins with --");
  if (topic.empty()) throw UsageError("a command is missing, such as pool run; see cachify help");
  if (!is_noun(topic[0])) throw UsageError(unknown_noun(topic[0]));
  throw UsageError(topic[0] + " needs a verb; see cachify help " + topic[0]);
}

run::Ending invoke_command(const Invocation& call) {
  const CommandRow& row = command_named(call.nouns);
  const auto command = row.make();
  OptionTable table;
  command->add_options(table);
  GlobalOptions globals;
  globals.add_to(table);
  const std::string name = name_of(row);
  table.name_topic(name, command->takes_command());

  const std::vector<Given> given = read_options(table, call.options);
  if (was_given(given, "help")) return print(command_help(row));
  if (was_given(given, "version")) return print_version();
  apply(given);
  if (command->takes_command() && call.command.empty())
    throw UsageError("COMMAND is missing; write cachify " + name +
                     " [OPTIONS] -- COMMAND [ARG...]");
  if (!command->takes_command() && call.has_separator)
    throw UsageError(name + " takes no COMMAND; leave out what begins with --");

  const Settings settings = load_settings(globals.overrides);
  util::set_verbosity(settings.quiet     ? util::Verbosity::quiet
                      : settings.verbose ? util::Verbosity::verbose
                                         : util::Verbosity::normal);
  return command->execute(settings, call.command);
}

}  // namespace

run::Ending invoke(std::span<char* const> arguments) {
  if (arguments.empty()) {
    const std::string help = general_help();
    // Nobody to tell where even this fails.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, help.data(), help.size());
    return {kExitUsage, std::nullopt};
  }
  remember_arguments(arguments);
  const Invocation call = cut_up(arguments);
  if (names_command(call.nouns) && call.nouns[0] != "help") return invoke_command(call);
  return invoke_without_command(call);
}

}  // namespace cachify::cli

#include "cli/help.h"

#include "cli/global_options.h"

namespace cachify::cli {

namespace {

constexpr size_t kWidth = 80;
constexpr size_t kHelpColumn = 30;
constexpr size_t kSummaryColumn = 20;

// `text` in lines of at most kWidth columns, all but the first indented. `column` is where the
// first one starts.
std::string wrapped(std::string_view text, size_t column, size_t indent) {
  std::string result;
  while (!text.empty()) {
    const size_t blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    if (!result.empty() && column + 1 + word.size() > kWidth) {
      result += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (!result.empty()) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
  return result + "\n";
}

std::string row_of(const std::string& name, std::string_view help, size_t help_column) {
  std::string line = name;
  if (line.size() + 2 > help_column) {
    line += '\n' + std::string(help_column, ' ');
  } else {
    line.resize(help_column, ' ');
  }
  return line + wrapped(help, help_column, help_column);
}

std::string options_of(const OptionTable& table) {
  std::string text;
  std::string_view group;
  for (const Option& option : table.options()) {
    if (option.group != group) {
      group = option.group;
      text += "\n" + std::string(group) + ":\n";
    }
    std::string name = option.letter == 0 ? "      " : std::string("  -") + option.letter + ", ";
    name += "--" + std::string(option.name);
    if (!option.value.empty()) name += " " + std::string(option.value);
    text += row_of(name, option.help, kHelpColumn);
  }
  return text;
}

std::string global_options() {
  OptionTable table;
  GlobalOptions globals;
  globals.add_to(table);
  return options_of(table);
}

std::string commands_of(std::string_view noun) {
  std::string text;
  for (const CommandRow& row : commands()) {
    if (row.noun == noun) text += row_of("  " + name_of(row), row.summary, kSummaryColumn);
  }
  return text;
}

std::string examples(std::string_view first, std::string_view second) {
  return "\nExamples:\n  " + std::string(first) + "\n  " + std::string(second) + "\n";
}

std::string page_of(std::string_view name) {
  return "\nManual: man " + std::string(name) + "\n";
}

struct Heading {
  std::string_view noun;
  std::string_view text;
};
constexpr Heading kHeadings[] = {
    {"pool", "Pools, at most N at a time"},
    {"lock", "Locks, one at a time"},
    {"resource", "Resources, one of several named things"},
    {"doctor", "Besides"},
};

constexpr std::string_view kGeneralExamples[] = {
    "cachify pool run --key jobs --max 4 -- ./job.sh",
    "cachify lock run --key backup --timeout 10m -- ./backup.sh"};

}  // namespace

std::string general_help() {
  std::string commands;
  for (const Heading& heading : kHeadings) {
    commands += "\n" + std::string(heading.text) + ":\n" + commands_of(heading.noun);
  }
  return "Usage: cachify [GLOBAL] NOUN VERB [OPTIONS] [-- COMMAND [ARG...]]\n\n" +
         wrapped("Runs commands under locks and in counted slots that other callers share.", 0, 0) +
         commands +
         row_of("  help", "This text; cachify help NOUN [VERB] for more", kSummaryColumn) +
         global_options() + page_of("cachify") + examples(kGeneralExamples[0], kGeneralExamples[1]);
}

std::string noun_help(std::string_view noun) {
  std::string_view samples[2];
  size_t count = 0;
  for (const CommandRow& row : commands())
    if (row.noun == noun && count < 2) samples[count++] = row.make()->manual().examples[0];
  return "Usage: cachify [GLOBAL] " + std::string(noun) +
         " VERB [OPTIONS] [-- COMMAND [ARG...]]\n\nCommands:\n" + commands_of(noun) +
         global_options() + page_of("cachify-" + std::string(noun)) +
         examples(samples[0], samples[1]);
}

std::string command_help(const CommandRow& row) {
  const auto command = row.make();
  OptionTable table;
  command->add_options(table);
  GlobalOptions globals;
  globals.add_to(table);
  const Manual& manual = command->manual();
  return "Usage: cachify " + std::string(manual.usage) + "\n\n" + wrapped(manual.about, 0, 0) +
         options_of(table) + page_of(row.page) + examples(manual.examples[0], manual.examples[1]);
}

}  // namespace cachify::cli

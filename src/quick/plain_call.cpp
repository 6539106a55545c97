#include "quick/plain_call.h"

#include <asm/unistd_64.h>
#include <linux/fcntl.h>

#include <initializer_list>

#include "quick/kernel.h"

namespace cachify::quick {

namespace {

constexpr long kNotFound = -2;  // ENOENT
constexpr size_t kLongestKey = 60;
constexpr int64_t kLongestMs = 9'000'000'000'000;  // fits in ns

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// 1 to 6 digits, as a number; 0 for anything else.
uint32_t small_number(const char* text) {
  uint32_t value = 0;
  size_t n = 0;
  for (; is_digit(text[n]); ++n) {
    if (n == 6) return 0;
    value = value * 10 + static_cast<uint32_t>(text[n] - '0');
  }
  return text[n] == '\0' ? value : 0;
}

// Up to 6 digits and a unit, in ns; -1 for anything else.
int64_t plain_duration(const char* text) {
  int64_t number = 0;
  size_t n = 0;
  for (; is_digit(text[n]) && n < 6; ++n) number = number * 10 + (text[n] - '0');
  if (n == 0) return -1;
  struct Unit {
    const char* name;
    int64_t ms;
  };
  for (const Unit& unit : {Unit{"", 1000}, Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000},
                           Unit{"h", 3'600'000}, Unit{"d", 86'400'000}}) {
    if (same(text + n, unit.name)) {
      const int64_t ms = number * unit.ms;
      return ms <= kLongestMs ? ms * 1'000'000 : -1;
    }
  }
  return -1;
}

// No braces (fields) and nothing that a message would have to escape.
bool is_plain_key(const char* text) {
  if (*text == '\0' || length(text) > kLongestKey) return false;
  for (; *text != '\0'; ++text) {
    if (*text < '!' || *text > '~' || *text == '{' || *text == '}') return false;
  }
  return true;
}

bool holds_url(const char* text) {
  for (; *text != '\0'; ++text) {
    if (behind(text, "://") != nullptr) return true;
  }
  return false;
}

// The options that are understood here. One that is given twice is not plain.
struct Options {
  const char* key = nullptr;
  const char* max = nullptr;
  const char* store = nullptr;
  const char* timeout = nullptr;
  const char* wait = nullptr;
};

// Reads one option at argv[i] (and its value); the index behind it, 0 when it is not plain.
int read_option(char** argv, int i, int end, Options& options) {
  const char* word = argv[i];
  if (same(word, "-w") || same(word, "--wait")) {
    if (options.wait != nullptr) return 0;
    options.wait = word;
    return i + 1;
  }
  struct Row {
    const char* name;
    const char* long_name;
    const char** value;
  };
  const Row rows[] = {{"-k", "--key", &options.key},
                      {"-n", "--max", &options.max},
                      {"-t", "--timeout", &options.timeout},
                      {nullptr, "--store", &options.store}};
  for (const Row& row : rows) {
    const char* value = nullptr;
    int next = i + 1;
    const char* rest = behind(word, row.long_name);
    if (rest != nullptr && *rest == '=') {
      value = rest + 1;
    } else if (same(word, row.long_name) || (row.name != nullptr && same(word, row.name))) {
      if (next >= end || argv[next][0] == '-') return 0;
      value = argv[next++];
    } else {
      continue;
    }
    if (*row.value != nullptr || *value == '\0') return 0;
    *row.value = value;
    return next;
  }
  return 0;
}

bool read_words(int argc, char** argv, PlainCall& call) {
  Options options;
  int end = 1;
  while (end < argc && !same(argv[end], "--")) ++end;
  if (end + 1 >= argc || end < 3) return false;
  call.command = argv + end + 1;
  if (call.command[0][0] == '\0') return false;
  // main() takes the passwords out of what others see of the command.
  for (char** word = call.command; *word != nullptr; ++word) {
    if (holds_url(*word)) return false;
  }

  int i = 1;
  while (i < end && argv[i][0] == '-') {
    // Before the noun only --store.
    if (behind(argv[i], "--store") == nullptr) return false;
    i = read_option(argv, i, end, options);
    if (i == 0) return false;
  }
  if (i + 2 > end || !same(argv[i + 1], "run")) return false;
  call.lock = same(argv[i], "lock");
  if (!call.lock && !same(argv[i], "pool")) return false;
  for (i += 2; i < end;) {
    i = read_option(argv, i, end, options);
    if (i == 0) return false;
  }
  if (options.key == nullptr || !is_plain_key(options.key)) return false;
  call.waits = options.wait != nullptr;
  call.timeout_ns = 0;
  if (options.timeout != nullptr) {
    call.timeout_ns = plain_duration(options.timeout);
    if (call.timeout_ns < 0) return false;
    call.waits = call.timeout_ns > 0;
  }
  if (call.lock != (options.max == nullptr)) return false;
  call.max = call.lock ? 1 : small_number(options.max);
  call.key = options.key;
  call.store = options.store;
  return call.max != 0;
}

bool missing(const char* path) {
  return kernel(__NR_faccessat, AT_FDCWD, address(path), 0) == kNotFound;
}

// Whether there is no configuration file in any of the places where one is looked for.
bool no_configuration(const char* config_home, const char* home) {
  static Text<1024> path;
  path.clear();
  if (config_home != nullptr && *config_home != '/') return false;
  if (home != nullptr && *home != '/') return false;
  if (config_home != nullptr) {
    path.add(config_home).add("/cachify/config.toml");
  } else if (home != nullptr) {
    path.add(home).add("/.config/cachify/config.toml");
  }
  if (!path.ok() || (path.used() > 0 && !missing(path.c_str()))) return false;
  return missing("/etc/cachify/config.toml");
}

bool read_environment(char** environment, PlainCall& call) {
  const char* config_home = nullptr;
  const char* home = nullptr;
  const char* store = nullptr;
  call.path = nullptr;
  call.below_a_call = false;
  call.environment = environment;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    const char* text = *entry;
    if (text[0] != 'C' && text[0] != 'H' && text[0] != 'P' && text[0] != 'X') continue;
    if (const char* value = behind(text, "PATH=")) {
      if (call.path == nullptr) call.path = value;
    } else if (const char* directory = behind(text, "HOME=")) {
      if (home == nullptr) home = directory;
    } else if (const char* config = behind(text, "XDG_CONFIG_HOME=")) {
      if (config_home == nullptr) config_home = config;
    } else if (const char* url = behind(text, "CACHIFY_STORE=")) {
      if (store != nullptr || *url == '\0') return false;
      store = url;
    } else if (const char* name = behind(text, "CACHIFY_")) {
      if (!tells_of_a_slot(name)) return false;
      call.below_a_call = true;
    }
  }
  if (call.store == nullptr) call.store = store;
  return no_configuration(config_home, home);
}

}  // namespace

bool tells_of_a_slot(const char* name) {
  for (const char* known : {"KEY=", "MAX=", "SLOT=", "ID=", "FENCE=", "WAITED="}) {
    if (behind(name, known) != nullptr) return true;
  }
  return false;
}

bool recognise(int argc, char** argv, char** environment, PlainCall& call) {
  return read_words(argc, argv, call) && read_environment(environment, call);
}

}  // namespace cachify::quick

// toml++ stays in this file: it is large, and only needed where a configuration file exists.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "errors.h"
#include "setting_rows.h"
#include "util/errno_text.h"
#include "util/text.h"
#include "util/unique_fd.h"

#define TOML_ENABLE_FORMATTERS 0
#define TOML_UNDEF_MACROS 1
#include <toml++/toml.h>

namespace cachify {

namespace {

// Whoever has more settings than this gave the name of some other file.
constexpr size_t kLargestFile = 1 << 20;

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw ConfigError("cannot use the configuration file " + path + ": " + reason);
}

bool is_null_device(const struct stat& status) noexcept {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

// nullopt: there is no such file.
std::optional<std::string> read_file(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const util::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    refuse(path, util::errno_text(errno));
  }
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) refuse(path, util::errno_text(errno));
  if (!S_ISREG(status.st_mode) && !is_null_device(status)) refuse(path, "it is not a regular file");
  std::string text;
  char buffer[8192];
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(path, util::errno_text(errno));
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kLargestFile) refuse(path, "it is larger than 1 MiB");
  }
}

class File {
 public:
  File(const std::string& path, const std::string& text) : path_(path) {
    try {
      root_ = toml::parse(std::string_view(text));
    } catch (const toml::parse_error& failure) {
      throw ConfigError(place(failure.source()) + std::string(failure.description()));
    }
  }

  // All of it is checked, whatever profile is chosen: a mistake shows on the day it is made.
  void apply_to(Settings& settings, const std::string& chosen) const {
    std::string profile = chosen;
    Settings scratch;
    apply_table(settings, root_, &profile);
    const toml::table* profiles = root_["profile"].as_table();
    bool found = false;
    if (profiles != nullptr) {
      for (const auto& [name, node] : *profiles) {
        const toml::table* table = node.as_table();
        if (table == nullptr)
          throw ConfigError(place(node.source()) + "profile." + text_of(name) + " must be a table");
        const bool is_chosen = name == profile;
        found = found || is_chosen;
        apply_table(is_chosen ? settings : scratch, *table, nullptr);
      }
    }
    if (!found && !profile.empty())
      throw ConfigError(path_ + " has no profile " + util::quoted(profile));
    settings.config_file = path_;
    settings.profile = profile;
  }

 private:
  static std::string text_of(const toml::key& key) { return std::string(key.str()); }

  std::string place(const toml::source_region& source) const {
    return path_ + ":" + std::to_string(source.begin.line) + ": ";
  }

  // `profile` is set where the table is the top level, which has two names of its own.
  void apply_table(Settings& settings, const toml::table& table, std::string* profile) const {
    bool quiet = false, verbose = false;
    for (const auto& [key, node] : table) {
      const std::string name = text_of(key);
      if (profile != nullptr && name == "profile") {
        if (!node.is_table())
          throw ConfigError(place(node.source()) +
                            "profile must be a table, [profile.NAME]; the one to use when none is "
                            "named is default-profile");
      } else if (profile != nullptr && name == "default-profile") {
        const auto value = node.value_exact<std::string>();
        if (!value || value->empty()) mismatch(node, name, "the name of a profile in quotes");
        if (profile->empty()) *profile = *value;
      } else {
        apply_value(settings, name, node);
        quiet = quiet || (name == "quiet" && settings.quiet);
        verbose = verbose || (name == "verbose" && settings.verbose);
      }
    }
    if (quiet && verbose)
      throw ConfigError(path_ + ": quiet and verbose exclude each other; remove one of them");
  }

  void apply_value(Settings& settings, const std::string& name, const toml::node& node) const {
    const SettingRow* row = find_setting(name);
    if (row == nullptr)
      throw ConfigError(place(node.source()) + "there is no setting named " + util::quoted(name));
    const auto value = value_for(*row, node);
    const std::string expected = value ? row->apply(settings, *value) : std::string();
    if (!value) mismatch(node, name, form_of(*row));
    if (!expected.empty()) mismatch(node, name, expected);
    if (row->name == "store")
      settings.store_origin = path_ + ":" + std::to_string(node.source().begin.line);
  }

  // As the variable of the same name would have it; nullopt: of the wrong type.
  static std::optional<std::string> value_for(const SettingRow& row, const toml::node& node) {
    if (auto text = node.value_exact<std::string>()) {
      if (text->find('\0') != std::string::npos) return std::nullopt;
      return text;
    }
    if (row.accepts == SettingRow::Accepts::number) {
      if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
      if (const auto number = node.value_exact<double>()) return std::to_string(*number);
    }
    if (row.accepts == SettingRow::Accepts::toggle) {
      if (const auto toggle = node.value_exact<bool>()) return *toggle ? "true" : "false";
    }
    return std::nullopt;
  }

  static std::string form_of(const SettingRow& row) {
    switch (row.accepts) {
      case SettingRow::Accepts::number:
        return "a number, or a text in quotes";
      case SettingRow::Accepts::toggle:
        return "true or false";
      case SettingRow::Accepts::text:
        break;
    }
    return "a text in quotes";
  }

  // The value is not shown: it may be a password.
  [[noreturn]] void mismatch(const toml::node& node, const std::string& name,
                             const std::string& expected) const {
    throw ConfigError(place(node.source()) + name + " must be " + expected);
  }

  const std::string& path_;
  toml::table root_;
};

}  // namespace

bool apply_config_file(Settings& settings, const std::string& path, const std::string& profile) {
  const auto text = read_file(path);
  if (!text) return false;
  File(path, *text).apply_to(settings, profile);
  return true;
}

}  // namespace cachify

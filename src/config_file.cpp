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
#include "util/parse.h"
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
      } else if (profile != nullptr && name == "resource") {
        apply_resources(settings, node);
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

  void apply_resources(Settings& settings, const toml::node& node) const {
    const toml::table* keys = node.as_table();
    if (keys == nullptr)
      throw ConfigError(place(node.source()) + "resource must be a table, [resource.KEY]");
    for (const auto& [name, entry] : *keys) {
      const std::string key = text_of(name);
      const toml::table* table = entry.as_table();
      if (table == nullptr)
        throw ConfigError(place(entry.source()) + "resource." + key + " must be a table");
      resource::DefinitionParts parts;
      for (const auto& [part, value] : *table) apply_part(parts, text_of(part), value);
      try {
        if (!resource::complete(parts)) throw UsageError("from or create is missing");
      } catch (const UsageError& failure) {
        throw ConfigError(place(entry.source()) + "resource." + key + ": " + failure.what());
      }
      settings.resources[key] = std::move(parts);
    }
  }

  void apply_part(resource::DefinitionParts& parts, const std::string& name,
                  const toml::node& node) const {
    const auto text = [&](std::optional<std::string>& target) {
      target = node.value_exact<std::string>();
      if (!target || !resource::is_shell_text(*target)) mismatch(node, name, "a shell command");
    };
    const auto number = [&](std::optional<int64_t>& target, int64_t least) {
      target = node.value_exact<int64_t>();
      if (!target || *target < least || *target > INT32_MAX)
        mismatch(node, name, "a whole number from " + std::to_string(least));
    };
    const auto duration = [&](std::optional<util::Duration>& target) {
      if (const auto written = node.value_exact<std::string>()) {
        target = util::parse_duration(*written);
      } else if (const auto whole = node.value_exact<int64_t>()) {
        target = util::parse_duration(std::to_string(*whole));
      } else if (const auto seconds = node.value_exact<double>()) {
        target = util::parse_duration(std::to_string(*seconds));
      }
      if (!target || *target == util::Duration::zero())
        mismatch(node, name, std::string(util::kDurationForms) + ", more than 0");
    };
    if (name == "from") {
      parts.names = names_of(node);
      if (!parts.names) mismatch(node, name, "a list of different names, such as [\"a\", \"b\"]");
    } else if (name == "create") {
      text(parts.create);
    } else if (name == "check") {
      text(parts.check);
    } else if (name == "destroy") {
      text(parts.destroy);
    } else if (name == "min") {
      number(parts.min, 0);
    } else if (name == "max") {
      number(parts.max, 1);
    } else if (name == "max-life") {
      duration(parts.max_life);
    } else if (name == "create-timeout") {
      duration(parts.create_timeout);
    } else {
      throw ConfigError(place(node.source()) + "a resource has no setting named " +
                        util::quoted(name));
    }
  }

  // A list, or a text as --from takes it.
  static std::optional<std::vector<std::string>> names_of(const toml::node& node) {
    if (const auto list = node.value_exact<std::string>()) return resource::parse_names(*list);
    const toml::array* array = node.as_array();
    if (array == nullptr) return std::nullopt;
    std::vector<std::string> names;
    for (const toml::node& element : *array) {
      const auto name = element.value_exact<std::string>();
      if (!name) return std::nullopt;
      names.push_back(*name);
    }
    return resource::are_names(names) ? std::optional(names) : std::nullopt;
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

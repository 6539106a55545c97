#include "settings.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "errors.h"

using namespace cachify;
using namespace std::chrono_literals;

namespace {

// An empty directory as HOME and no CACHIFY_* at all; both as before afterwards.
class Place {
 public:
  Place() {
    std::vector<std::string> names;
    for (char** entry = ::environ; *entry != nullptr; ++entry)
      if (std::strncmp(*entry, "CACHIFY_", 8) == 0) names.emplace_back(*entry);
    for (const std::string& entry : names) set(entry.substr(0, entry.find('=')), nullptr);
    char name[] = "/tmp/cachify-settings-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    home = name;
    set("HOME", home.c_str());
    set("XDG_CONFIG_HOME", nullptr);
  }
  ~Place() {
    for (auto entry = saved_.rbegin(); entry != saved_.rend(); ++entry) {
      if (entry->had) {
        ::setenv(entry->name.c_str(), entry->value.c_str(), 1);
      } else {
        ::unsetenv(entry->name.c_str());
      }
    }
    for (const char* path : {"/.config/cachify/config.toml", "/other.toml"})
      ::unlink((home + path).c_str());
    for (const char* path : {"/.config/cachify", "/.config", ""}) ::rmdir((home + path).c_str());
  }

  void set(const std::string& name, const char* value) {
    const char* before = std::getenv(name.c_str());
    saved_.push_back({name, before != nullptr, before != nullptr ? before : ""});
    if (value != nullptr) {
      ::setenv(name.c_str(), value, 1);
    } else {
      ::unsetenv(name.c_str());
    }
  }

  void write_config(const std::string& text) {
    ::mkdir((home + "/.config").c_str(), 0700);
    ::mkdir((home + "/.config/cachify").c_str(), 0700);
    std::ofstream(home + "/.config/cachify/config.toml") << text;
  }

  std::string home;

 private:
  struct Saved {
    std::string name;
    bool had;
    std::string value;
  };
  std::vector<Saved> saved_;
};

std::string failure_of(const Overrides& overrides = {}) {
  try {
    load_settings(overrides);
  } catch (const ConfigError& failure) {
    return failure.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("without any source the built-in defaults hold") {
  Place place;
  const Settings settings = load_settings({});
  CHECK(settings.store == "file:");
  CHECK(!settings.prefix);
  CHECK_FALSE(settings.timeout);
  CHECK_FALSE(settings.timeout_none);
  CHECK_FALSE(settings.quiet);
  CHECK_FALSE(settings.verbose);
}

TEST_CASE("command line over environment over profile over top level") {
  Place place;
  place.write_config(
      "store = 'file:top'\nprefix = 'top'\ntimeout = 1\nexp = '1s'\n"
      "[profile.p]\nstore = 'file:profile'\nprefix = 'profile'\ntimeout = 2\n");
  CHECK(load_settings({}).store == "file:top");
  Overrides overrides;
  overrides.profile = "p";
  Settings settings = load_settings(overrides);
  CHECK(settings.store == "file:profile");
  CHECK(settings.prefix == "profile");
  CHECK(settings.timeout == util::Duration(2s));
  CHECK(settings.exp == util::Duration(1s));
  place.set("CACHIFY_STORE", "file:env");
  place.set("CACHIFY_PREFIX", "env");
  settings = load_settings(overrides);
  CHECK(settings.store == "file:env");
  CHECK(settings.prefix == "env");
  CHECK(settings.timeout == util::Duration(2s));
  overrides.store = "file:line";
  overrides.prefix = "";
  settings = load_settings(overrides);
  CHECK(settings.store == "file:line");
  CHECK(settings.prefix == "");
}

TEST_CASE("every setting can come from the environment") {
  Place place;
  place.set("CACHIFY_SLOT_EXP", "600s");
  place.set("CACHIFY_EXP", "none");
  place.set("CACHIFY_TIMEOUT", "none");
  place.set("CACHIFY_ON_LOST", "kill");
  place.set("CACHIFY_KILL_AFTER", "200ms");
  place.set("CACHIFY_CONFLICT_EXIT_CODE", "0");
  place.set("CACHIFY_QUIET", "yes");
  place.set("CACHIFY_REDIS_PASSWORD", "secret");
  const Settings settings = load_settings({});
  CHECK(settings.slot_exp == util::Duration(600s));
  CHECK(settings.exp == util::Duration::zero());
  CHECK(settings.timeout_none);
  CHECK(settings.on_lost == run::OnLost::kill);
  CHECK(settings.kill_after == util::Duration(200ms));
  CHECK(settings.conflict_exit_code == 0);
  CHECK(settings.quiet);
  CHECK(settings.redis_password == "secret");
}

TEST_CASE("every setting can come from the file, numbers and switches also without quotes") {
  Place place;
  place.write_config(
      "slot-exp = 600\nexp = 1.5\ntimeout = '0'\non-lost = 'term'\nkill-after = '5m'\n"
      "conflict-exit-code = 75\nverbose = true\nquiet = false\nredis-password = 'x'\n");
  const Settings settings = load_settings({});
  CHECK(settings.slot_exp == util::Duration(600s));
  CHECK(settings.exp == util::Duration(1500ms));
  CHECK(settings.timeout == util::Duration::zero());
  CHECK(settings.on_lost == run::OnLost::term);
  CHECK(settings.kill_after == util::Duration(5min));
  CHECK(settings.conflict_exit_code == 75);
  CHECK(settings.verbose);
  CHECK(settings.redis_password == "x");
}

TEST_CASE("an empty variable counts as not set") {
  Place place;
  place.set("CACHIFY_STORE", "");
  place.set("CACHIFY_TIMEOUT", "");
  place.set("CACHIFY_QUIET", "");
  place.set("CACHIFY_PROFILE", "");
  place.set("CACHIFY_CONFIG", "");
  CHECK(load_settings({}).store == "file:");
}

TEST_CASE("what cachify tells its command is no setting of a cachify below it") {
  Place place;
  for (const char* name : {"CACHIFY_KEY", "CACHIFY_MAX", "CACHIFY_SLOT", "CACHIFY_ID",
                           "CACHIFY_FENCE", "CACHIFY_WAITED", "CACHIFY_", "CACHIFY_slot_exp"})
    place.set(name, "junk");
  CHECK(failure_of().empty());
}

TEST_CASE("a bad variable is named") {
  for (const auto& entry : {std::pair{"CACHIFY_TIMEOUT", "soon"},
                            {"CACHIFY_SLOT_EXP", "0"},
                            {"CACHIFY_EXP", "-1"},
                            {"CACHIFY_ON_LOST", "TERM"},
                            {"CACHIFY_KILL_AFTER", "none"},
                            {"CACHIFY_CONFLICT_EXIT_CODE", "256"},
                            {"CACHIFY_QUIET", "on"},
                            {"CACHIFY_VERBOSE", "2"}}) {
    Place place;
    const std::string name = entry.first, value = entry.second;
    place.set(name, value.c_str());
    CAPTURE(name);
    CHECK(contains(failure_of(), name));
    CHECK(contains(failure_of(), "'" + value + "'"));
  }
}

TEST_CASE("a bad entry of the file is named with its line, and not shown") {
  for (const std::string line : {"timeout = 'soon'",
                                 "timeout = true",
                                 "timeout = -1",
                                 "timeout = inf",
                                 "timeout = 1e30",
                                 "slot-exp = 0",
                                 "store = 5",
                                 "store = ''",
                                 "quiet = 'maybe'",
                                 "quiet = 2",
                                 "conflict-exit-code = 256",
                                 "conflict-exit-code = 1.5",
                                 "on-lost = 'TERM'",
                                 "redis-password = 12345",
                                 "prefix = ['a']",
                                 "prefix = \"a\\u0000b\"",
                                 "key = 'x'",
                                 "max = 4",
                                 "config = 'x'",
                                 "profile = 'p'",
                                 "default-profile = 5",
                                 "Timeout = 5",
                                 "slot_exp = 5",
                                 "resource = 5",
                                 "resource.gpu = 5",
                                 "resource.gpu.from = 5",
                                 "resource.gpu.from = ['a', 'a']",
                                 "resource.gpu.max = 5",
                                 "resource.gpu.else = 5",
                                 "timeout = {}",
                                 "timeout ="}) {
    Place place;
    place.write_config("# a comment\n" + line + "\n");
    CAPTURE(line);
    CHECK(contains(failure_of(), "/config.toml:2: "));
  }
}

TEST_CASE("resources are defined at the top level of the file") {
  Place place;
  place.write_config(
      "[resource.gpu]\nfrom = ['0', '1']\n[resource.\"db x\"]\ncreate = 'mk'\nmin = 1\nmax = 3\n"
      "max-life = 90\ncreate-timeout = '2m'\n");
  const Settings settings = load_settings({});
  CHECK(*settings.resources.at("gpu").names == std::vector<std::string>{"0", "1"});
  const resource::DefinitionParts& parts = settings.resources.at("db x");
  CHECK(parts.create == "mk");
  CHECK(parts.min == 1);
  CHECK(parts.max == 3);
  CHECK(parts.max_life == 90s);
  CHECK(parts.create_timeout == 2min);
}

TEST_CASE("a mistake in a profile shows although another one is used") {
  Place place;
  place.write_config("[profile.good]\ntimeout = 1\n[profile.bad]\ntimeuot = 1\n");
  Overrides overrides;
  overrides.profile = "good";
  CHECK(contains(failure_of(overrides), ":4: "));
}

TEST_CASE("a profile has to be there") {
  Overrides overrides;
  overrides.profile = "p";
  {
    Place place;
    CHECK(contains(failure_of(overrides), "'p'"));
    place.write_config("[profile.q]\n");
    CHECK(contains(failure_of(overrides), "'p'"));
  }
  Place place;
  place.set("CACHIFY_PROFILE", "x");
  CHECK(contains(failure_of(), "'x'"));
}

TEST_CASE("the default profile is used where none is named") {
  Place place;
  place.write_config(
      "default-profile = 'a'\n[profile.a]\nprefix = 'a'\n[profile.b]\nprefix = 'b'\n");
  CHECK(load_settings({}).prefix == "a");
  place.set("CACHIFY_PROFILE", "b");
  CHECK(load_settings({}).prefix == "b");
  place.write_config("default-profile = 'c'\n[profile.a]\n");
  place.set("CACHIFY_PROFILE", "");
  CHECK(contains(failure_of(), "'c'"));
}

TEST_CASE("a file that is named has to exist and replaces the usual one") {
  Place place;
  place.write_config("prefix = 'usual'\n");
  std::ofstream(place.home + "/other.toml") << "timeout = 5\n";
  Overrides overrides;
  overrides.config = place.home + "/other.toml";
  CHECK(!load_settings(overrides).prefix);
  CHECK(load_settings(overrides).timeout == util::Duration(5s));
  overrides.config = place.home + "/missing.toml";
  CHECK(contains(failure_of(overrides), "does not exist"));
  overrides.config = "/dev/null";
  CHECK(!load_settings(overrides).prefix);
}

TEST_CASE("the directory of the configuration may be elsewhere, given as an absolute path") {
  Place place;
  place.write_config("prefix = 'home'\n");
  place.set("XDG_CONFIG_HOME", "relative");
  CHECK(load_settings({}).prefix == "home");
  place.set("XDG_CONFIG_HOME", "/nonexistent");
  CHECK(!load_settings({}).prefix);
  place.set("XDG_CONFIG_HOME", (place.home + "/.config").c_str());
  place.set("HOME", "/dev/null");
  CHECK(load_settings({}).prefix == "home");
}

TEST_CASE("quiet and verbose exclude each other within a source; else the higher one wins") {
  Place place;
  place.write_config("quiet = true\n");
  CHECK(load_settings({}).quiet);
  place.set("CACHIFY_VERBOSE", "1");
  CHECK(load_settings({}).verbose);
  CHECK_FALSE(load_settings({}).quiet);
  Overrides overrides;
  overrides.verbosity = util::Verbosity::quiet;
  CHECK(load_settings(overrides).quiet);
  CHECK_FALSE(load_settings(overrides).verbose);
  place.set("CACHIFY_QUIET", "1");
  CHECK(contains(failure_of(), "CACHIFY_QUIET and CACHIFY_VERBOSE"));
  place.set("CACHIFY_QUIET", "");
  place.write_config("quiet = true\nverbose = true\n");
  CHECK(contains(failure_of(), "quiet and verbose"));
}

TEST_CASE("where a store was named is known, for messages about it") {
  Place place;
  CHECK(load_settings({}).store_origin.empty());
  place.write_config("\nstore = 'file:a'\n");
  CHECK(contains(load_settings({}).store_origin, "config.toml:2"));
  place.set("CACHIFY_STORE", "file:b");
  CHECK(load_settings({}).store_origin == "CACHIFY_STORE");
  Overrides overrides;
  overrides.store = "file:c";
  CHECK(load_settings(overrides).store_origin.empty());
}

// Whatever is in the configuration file, it is understood or named as wrong; and no message shows
// the password that stands in it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "errors.h"
#include "fuzz.h"
#include "settings.h"
#include "util/unique_fd.h"

using namespace cachify;

namespace {

constexpr std::string_view kSecret = "geheim-4711";

util::UniqueFd file_with(std::string_view text) {
  util::UniqueFd fd(::memfd_create("config.toml", MFD_CLOEXEC));
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  fuzz::require(written == static_cast<ssize_t>(text.size()), "a file can be written");
  return fd;
}

// The name of a profile in the first line, the file behind it.
void load(const std::string& profile, std::string_view text) {
  const util::UniqueFd file = file_with(text);
  Overrides overrides;
  overrides.config = "/proc/self/fd/" + std::to_string(file.get());
  if (!profile.empty()) overrides.profile = profile;
  try {
    const Settings settings = load_settings(overrides);
    fuzz::require(!(settings.quiet && settings.verbose), "quiet and verbose exclude each other");
    fuzz::require(!settings.conflict_exit_code ||
                      (*settings.conflict_exit_code >= 0 && *settings.conflict_exit_code <= 255),
                  "a code is one");
    fuzz::require(settings.store.find('\0') == std::string::npos, "a setting has no NUL");
  } catch (const ConfigError& failure) {
    fuzz::require(std::string_view(failure.what()).find(kSecret) == std::string_view::npos,
                  "a message shows no password");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::bytes(data, size);
  const size_t newline = text.find('\n');
  if (newline == std::string_view::npos || text.substr(0, newline).find('\0') != text.npos)
    return 0;
  if (text.find(kSecret) != std::string_view::npos) return 0;  // it may stand elsewhere as well
  const std::string profile(text.substr(0, newline));
  const std::string rest(text.substr(newline + 1));
  load(profile, rest);
  load(profile, "redis-password = '" + std::string(kSecret) + "'\n" + rest);
  return 0;
}

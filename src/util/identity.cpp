#include "util/identity.h"

#include <pwd.h>
#include <sys/utsname.h>

#include <cstdio>
#include <map>
#include <memory>

namespace cachify::util {

namespace {

// Read from the file, not asked of getpwuid: its modules cannot be loaded into a static binary.
std::string look_up(uint32_t uid) {
  struct Close {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<FILE, Close> file(std::fopen("/etc/passwd", "re"));
  if (file) {
    while (const passwd* entry = fgetpwent(file.get())) {
      if (entry->pw_uid == uid) return entry->pw_name;
    }
  }
  return {};
}

}  // namespace

const std::string& host_name() {
  static const std::string kName = [] {
    utsname names{};
    return std::string(::uname(&names) == 0 ? names.nodename : "");
  }();
  return kName;
}

const std::string& user_name(uint32_t uid) {
  static std::map<uint32_t, std::string> known;
  const auto found = known.find(uid);
  return found != known.end() ? found->second : known.emplace(uid, look_up(uid)).first->second;
}

}  // namespace cachify::util

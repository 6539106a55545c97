#include "cli/secrets.h"

#include <sys/prctl.h>

#include <cstring>
#include <string_view>

#include "util/secret.h"

namespace cachify::cli {

namespace {

std::span<char* const> own_arguments;

}  // namespace

void remember_arguments(std::span<char* const> arguments) noexcept {
  own_arguments = arguments;
}

void guard_secrets(const Settings& settings) noexcept {
  if (!settings.redis_password && !util::has_password(settings.store)) return;
  for (char* word : own_arguments) {
    if (std::string_view(word) == "--") break;  // what follows is COMMAND's
    util::blot_out_passwords({word, std::strlen(word)});
  }
  // The command's exec sets it again.
  ::prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace cachify::cli

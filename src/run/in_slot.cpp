#include "run/in_slot.h"

#include <csignal>

namespace cachify::run {
namespace {

std::string seconds_text(util::Duration waited) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  const std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  return std::to_string(ms / 1000) + "." + fraction;
}

}  // namespace

std::vector<std::string> slot_variables(const std::string& key, const store::Grant& grant,
                                        util::Duration waited) {
  return {"CACHIFY_KEY=" + key,
          "CACHIFY_MAX=" + std::to_string(grant.max),
          "CACHIFY_SLOT=" + std::to_string(grant.slot),
          "CACHIFY_ID=" + grant.id,
          "CACHIFY_FENCE=" + std::to_string(grant.fence),
          "CACHIFY_WAITED=" + seconds_text(waited)};
}

int death_signal(const store::Lease& lease, OnLost on_lost) {
  if (lease.keep_fd() >= 0 || on_lost == OnLost::warn) return 0;
  return on_lost == OnLost::kill ? SIGKILL : SIGTERM;
}

}  // namespace cachify::run

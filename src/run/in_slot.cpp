#include "run/in_slot.h"

#include <csignal>

#include "util/time_text.h"

namespace cachify::run {

std::vector<std::string> slot_variables(const std::string& first_key,
                                        const std::vector<std::string>& keys,
                                        const store::Lease& lease, util::Duration waited) {
  const store::Grant& grant = lease.grant();
  std::string key = first_key;
  std::string id = grant.id;
  std::string fence = std::to_string(grant.fence);
  for (size_t i = 0; i < lease.parts().size(); ++i) {
    const store::Grant& part = lease.parts()[i]->grant();
    if (i == 0) key = id = fence = {};
    const char* end = i == 0 ? "" : "\n";
    key += end + keys[i];
    id += end + part.id;
    fence += end + std::to_string(part.fence);
  }
  return {"CACHIFY_KEY=" + key, "CACHIFY_MAX=" + std::to_string(grant.max),
          "CACHIFY_SLOT=" + std::to_string(grant.slot), "CACHIFY_ID=" + id,
          // One that was inherited would be another slot's.
          grant.fence == 0 ? "CACHIFY_FENCE" : "CACHIFY_FENCE=" + fence,
          "CACHIFY_WAITED=" + util::seconds_text(waited)};
}

int death_signal(const store::Lease& lease, OnLost on_lost) {
  if (lease.keep_fd() >= 0 || on_lost == OnLost::warn) return 0;
  return on_lost == OnLost::kill ? SIGKILL : SIGTERM;
}

}  // namespace cachify::run

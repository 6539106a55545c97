#pragma once

#include <string>
#include <vector>

#include "run/run.h"
#include "store/store.h"

// What every command that runs in a slot is given.
namespace cachify::run {

// CACHIFY_KEY and its kin, each NAME=VALUE, for Program. Of several locks, `keys`, one to a line.
std::vector<std::string> slot_variables(const std::string& key,
                                        const std::vector<std::string>& keys,
                                        const store::Lease& lease, util::Duration waited);

// A lease without a descriptor that COMMAND could keep ends soon after cachify was killed. COMMAND
// is then ended as --on-lost says for any lost lease: by this signal; 0: it is left alone.
int death_signal(const store::Lease& lease, OnLost on_lost);

}  // namespace cachify::run

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/file/state_file.h"
#include "store/store.h"

namespace cachify::store::file {

// How a ticket is shown and named by users (CACHIFY_ID).
std::string id_of(uint64_t ticket);

// Everybody alive in a state file whose mutex is held. `self` is an entry of the caller's own,
// which counts as alive. Drops the dead from the table, without writing it.
Situation picture_of(StateFile& state, std::optional<uint32_t> self);

// The same in short; the key is left to the caller.
KeySummary summary_of(StateFile& state);

}  // namespace cachify::store::file

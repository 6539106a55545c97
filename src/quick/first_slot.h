#pragma once

#include "quick/plain_call.h"

namespace cachify::quick {

// Steps A1 to A5 and ADMIT of store/file/PROTOCOL.md for the case that needs no second thought: a
// default or named directory and a sound state file that are there already, nobody waiting, no
// expiry, no weight, no stored cap, a free slot even if all entries count. Fills the handover's
// part of the lease. False when anything is different: then nothing is held and the way through
// Store::acquire is taken.
bool take_first_slot(const PlainCall& call);

}  // namespace cachify::quick

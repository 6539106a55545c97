#pragma once

#include "quick/head.h"
#include "quick/plain_call.h"

namespace cachify::quick {

// A lock or a pool of one slot that somebody has: steps A6 to A8, CHECK and ADMIT of
// store/file/PROTOCOL.md for a caller that waits behind others of priority 0. Called with the mutex
// held and the head read; `control` and what is locked through it belong to it from then on.
//
// True: admitted, and in the handover. False: nothing was done; or we are in the queue, which the
// handover says then, because something needs a second thought: a signal, a poke, somebody who
// died, a priority. The full program goes on with CHECK.
bool wait_for_turn(const PlainCall& call, Descriptor& directory, const char* name,
                   Descriptor& control);

// D5, put off until the command runs: who is next has nothing to win before.
void leave_place();

}  // namespace cachify::quick

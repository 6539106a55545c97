#pragma once

#include "quick/plain_call.h"

namespace cachify::quick {

// To be called once a slot is held: commands have to be waited for. It is put back for the command.
void reset_child_signal();

// Starts the command in the slot of the handover, as run::start_child would. When a signal asks to
// stop, or when the command cannot be executed, it is not started, and the full program sees why
// when it tries.
void start_first_command(const PlainCall& call);

}  // namespace cachify::quick

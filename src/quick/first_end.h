#pragma once

#include "quick/plain_call.h"

namespace cachify::quick {

// Sleeps until one of our signals is pending; false when so many milliseconds (-1: any number) have
// passed. Reads none of them.
bool wait_for_signal(int milliseconds);
// The code with which the command exited; -1 when it has not, or when that is not all there is.
// Does not reap it.
int plain_exit_code();

// Waits for the started command. When it simply exits, the slot is given back (RELEASE of
// store/file/PROTOCOL.md) and the process ends with the command's code. When anything else comes
// first (a signal, a stop, a death by a signal, a state file that wants a second look) it returns,
// with nothing consumed, and the full program takes over.
void see_to_the_end(const PlainCall& call);

}  // namespace cachify::quick

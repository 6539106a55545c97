#pragma once

#include "map/request.h"
#include "run/run.h"
#include "store/store.h"

namespace cachify::map {

// Runs the command once for each item, each run in a slot of the pool, and says how cachify is to
// end. Prints its own messages about what fails alone, full, closed. Throws Error, after all runs
// have ended and every slot was given back. Descriptors 0 to 2 must be open.
run::Ending map(store::Store& store, const Request& request);

// --dry-run: prints the commands only.
run::Ending show_commands(const Request& request);

}  // namespace cachify::map

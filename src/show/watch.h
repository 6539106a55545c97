#pragma once

#include "run/run.h"
#include "show/subject.h"

namespace cachify::show {

// `status --watch`: shows the situation, and again whenever it changes, until a signal (or q on a
// terminal) ends it. A terminal is redrawn, with the last changes below; elsewhere the changes
// follow the first table, a line each; with `json` each change prints the whole situation as a
// line. Throws what the store throws when it cannot tell the first time; a terminal then shows
// later failures and goes on.
run::Ending watch(store::Store& store, const Subject& subject, bool json);

}  // namespace cachify::show

#pragma once

#include "store/file/directory.h"
#include "util/time.h"

namespace cachify::store::file {

// DELETE of PROTOCOL.md for keys that nobody has used for `idle`, and that have no stored cap and
// are not closed, and of what maps that were killed have left: their files would pile up otherwise.
// Looks at a few thousand files at most; what cannot be deleted stays. Blocks on nothing. Returns
// whether a file was deleted; errno stays, so that who came here for want of space can still say
// so.
//
// A key's counters go with its files. Its fence does not start again: it follows the clock, and a
// file whose fence is ahead of the clock is kept.
bool sweep(const Directory& directory, util::Duration idle);

}  // namespace cachify::store::file

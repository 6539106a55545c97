#pragma once

#include <functional>
#include <memory>
#include <string>

#include "run/owner.h"
#include "run/run.h"
#include "store/store.h"

namespace cachify::run {

// Takes what the request asks for (it has no command), in a process of its own, the keeper, which
// holds it after this one has ended: until the slot is given back or taken away, it expires, the
// owner ends, or the keeper is sent TERM, INT or HUP. Prints the id and returns 0; refused, it says
// so and ends with the code for that.
//
// All or nothing: whoever ends otherwise than with 0 (by a signal; because the id could not be
// printed, or the owner ended) leaves nothing held and nobody in the queue. After a SIGKILL, at
// any instant, what has been printed tells: without a whole id nothing is held. Where the keeper
// itself is killed, the store's crash rules hold: nothing inherits its slot.
//
// `open_store` is called in the keeper, so that what the store opens belongs to it alone. Throws
// Error.
Ending acquire(const std::function<std::unique_ptr<store::Store>()>& open_store,
               const Request& request, const Owner& owner);

}  // namespace cachify::run

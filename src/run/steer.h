#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run/interrupts.h"
#include "run/run.h"
#include "store/store.h"

// What acts on a key without holding it.
namespace cachify::run {

// Of a pool.
enum class Until {
  free,   // a newcomer would be let in: not closed, a slot to be had, and nobody waits for it
  empty,  // nobody holds
  idle,   // nobody holds, and nobody waits
};
bool is_so(Until until, const store::Situation& situation) noexcept;

// Sleeps until it is so. `timeout`: as long as it takes when there is none, 0 for a look at once.
// False: the time ran out, or a signal came (Interrupts says which).
bool wait_until(store::Store& store, store::Kind kind, const std::string& key, Until until,
                const std::optional<util::Duration>& timeout, Interrupts& interrupts);

// Ends the command of the holder `id`, or (nullopt) of all who hold, and sleeps until they hold no
// more. Their own --kill-after says how long a command has. Says whom it waits for when that takes
// long. How many there were; fewer may have ended when Interrupts has caught a signal.
size_t end_holders(store::Store& store, store::Kind kind, const std::string& key,
                   const std::optional<std::string>& id, Interrupts& interrupts);

}  // namespace cachify::run

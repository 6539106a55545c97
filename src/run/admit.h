#pragma once

#include <memory>

#include "run/interrupts.h"
#include "run/run.h"
#include "store/store.h"

namespace cachify::run {

// What came of asking for a slot.
struct Admittance {
  std::unique_ptr<store::Lease> lease;  // empty: not admitted
  util::Duration waited{0};
  Ending ending;         // when not admitted: how cachify is to end
  bool refused = false;  // with a code that stands for 75 or 124
};

// Takes what the request asks for (of several keys all or none), waiting as long as it says. Who is
// refused has been told why. Throws Error: nothing is held then.
Admittance admit(store::Store& store, const Request& request, Interrupts& interrupts);

// Gives a slot back. A store that cannot be told changes nothing about how cachify ends: it is
// named in a message, and the slot ends by the store's crash rules.
void give_back(store::Lease& lease) noexcept;

// For who was stopped by a signal before anything was started.
Ending stopped_by(int signal);

}  // namespace cachify::run

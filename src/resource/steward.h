#pragma once

#include <string>

#include "resource/errands.h"
#include "resource/ledger.h"
#include "store/store.h"

namespace cachify::resource {

// What is done to a key's resources from outside: add, remove, stop. Each waits for the destroys
// that follow from it at once; a signal ends these, and leaves them to the next caller.
class Steward {
 public:
  // `store` has to outlive it. `definition` is what the configuration file says, if anything: it
  // counts where no caller has said anything yet.
  Steward(store::Store& store, std::string key, std::optional<Definition> definition,
          util::Duration limit, util::Duration kill_after);

  // False: it was there. Throws UsageError when there is no room.
  bool add(const std::string& name);

  struct Outcome {
    int64_t found = 0;    // how many there were to go
    int64_t later = 0;    // of these, in use or at work: they go when they come back
    bool failed = false;  // some could not be destroyed, and stay in the list
    std::optional<int> signal;
  };
  Outcome remove(const std::string& name);
  // Also refuses newcomers until the last one has come back, and dismisses who waits.
  Outcome stop();

 private:
  Outcome carry_out(const Ledger::Change& change, Outcome& outcome, std::vector<Item>& to_destroy);

  store::Store& store_;
  std::optional<Definition> definition_;
  Ledger ledger_;
  Errands errands_;
};

}  // namespace cachify::resource

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/file/bell.h"
#include "store/file/catalogue_file.h"
#include "store/file/poke.h"
#include "store/file/state_file.h"
#include "store/store.h"

namespace cachify::store::file {

// What somebody else than holder and waiter does to a key: the step STEER of PROTOCOL.md. One
// object for one deed. As Store's functions of the same names; nothing happens to a key that never
// was, unless there is something to store.
class Steering {
 public:
  // `directory` must live as long as this; `key` is what messages call it.
  Steering(const Directory& directory, Kind kind, std::string prefixed_key, std::string key);

  void resize(std::optional<uint32_t> max);
  void set_closed(bool closed);
  int64_t dismiss();
  int64_t give_back(const std::optional<std::string>& id);
  std::vector<std::string> terminate(const std::optional<std::string>& id,
                                     std::optional<util::Duration> kill_after);
  CatalogueView catalogue();
  void update_catalogue(const Store::ChangeCatalogue& change, run::Interrupts* interrupts);

 private:
  bool lock(StateFile::Access access);
  void there_may_be_room(bool ring_at_death = true);
  CatalogueView view_of(const CatalogueFile& file);
  std::vector<uint32_t> live_holders(const std::optional<std::string>& id);
  void finish();

  const Directory& directory_;
  StateFile state_;
  Bell bell_;
  Kind kind_;
  std::string key_;
  bool ring_ = false;
  bool tell_maps_ = false;
  std::vector<Owner> to_poke_;
};

// Asks holders to end, under the mutex: marks their entries (written when this returns), and pokes
// their cachify, so that it sees the mark. Returns those that cannot be told; they are not marked.
// An orphan, whose cachify was killed, is only marked: end_orphan() has to follow.
std::vector<Owner> ask_to_end(StateFile& state, const std::vector<uint32_t>& holders,
                              std::optional<util::Duration> kill_after);

// Signals all processes that keep the slot of a holder whose cachify was killed, but this one.
Reach end_orphan(StateFile& state, const Owner& holder, int signal);

// Throws the StoreError for a holder that cannot be reached. Without the mutex.
[[noreturn]] void cannot_end(const std::string& key, const Owner& holder);

}  // namespace cachify::store::file

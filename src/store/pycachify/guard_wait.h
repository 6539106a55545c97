#pragma once

#include <optional>
#include <string>

#include "util/time.h"

namespace cachify::store::pycachify {

// Looks for the guard of a pool that somebody else holds: short sleeps at first, as it is held for
// two round trips, then as long as between two looks at a full pool.
class GuardWait {
 public:
  GuardWait(const std::string& prefix, const std::string& key, util::Duration patience);

  // Once more the guard was there: how long to sleep, at most about `longest`. Throws StoreError
  // when that has been so for `patience`.
  util::Duration pause(util::Duration longest);
  // For how long it has been there at each look.
  util::Duration lasted() const noexcept;
  // It was not there, or it made no difference.
  void passed() noexcept { since_.reset(); }
  void set_patience(util::Duration patience) noexcept { patience_ = patience; }
  [[noreturn]] void give_up() const;

 private:
  const std::string& prefix_;
  const std::string& key_;
  util::Duration patience_;
  std::optional<util::MonotonicTime> since_;
  util::Duration pause_{};
};

}  // namespace cachify::store::pycachify

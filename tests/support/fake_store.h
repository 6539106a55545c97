#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace cachify::test {

// What happened to the leases of a FakeStore, and what they are to do; outlives them.
struct LeaseScript {
  int keep_fd = -1;
  int tick_fd = -1;
  // One state for each tick(); then `held`. Ticks want to come every `tick_every`, if given.
  std::deque<store::Lease::State> ticks;
  std::optional<util::Duration> tick_every;
  std::optional<std::string> release_error;  // release() throws StoreError

  int ticked = 0;
  int released = 0;
  int destroyed = 0;
  std::function<void()> on_release;
};

// A store in memory, for one process. Each acquire() takes the next scripted step; with none left
// it admits as long as fewer than claim.max are held.
class FakeStore : public store::Store {
 public:
  struct Step {
    store::Outcome outcome = store::Outcome::admitted;
    std::function<void(run::Interrupts&, store::WaitObserver&)> meanwhile;
  };

  std::deque<Step> steps;
  LeaseScript lease;
  store::Grant grant{"id-1", 7, 0, 1};
  util::Duration waited{0};
  store::Situation now;
  std::optional<std::string> situation_error;

  std::vector<store::Claim> claims;        // what was asked
  std::vector<store::Patience> patiences;  // and how patiently

  store::Acquisition acquire(const store::Claim& claim, const store::Patience& patience,
                             run::Interrupts& interrupts, store::WaitObserver& observer) override;
  int64_t size(store::Kind kind, const std::string& key) override;
  store::Situation situation(store::Kind kind, const std::string& key) override;
  std::string shown_url() const override { return "fake:"; }
};

// A store that can tell nothing.
class FaultyStore : public store::Store {
 public:
  store::Acquisition acquire(const store::Claim&, const store::Patience&, run::Interrupts&,
                             store::WaitObserver&) override;
  int64_t size(store::Kind, const std::string&) override;
  store::Situation situation(store::Kind, const std::string&) override;
  std::string shown_url() const override { return "faulty:"; }
};

}  // namespace cachify::test

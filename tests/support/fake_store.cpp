#include "support/fake_store.h"

#include "errors.h"
#include "run/interrupts.h"

namespace cachify::test {
namespace {

class FakeLease : public store::Lease {
 public:
  FakeLease(LeaseScript& script, store::Grant grant) : script_(script), grant_(std::move(grant)) {
    plan_next();
  }
  ~FakeLease() override { ++script_.destroyed; }
  FakeLease(const FakeLease&) = delete;
  FakeLease& operator=(const FakeLease&) = delete;

  const store::Grant& grant() const noexcept override { return grant_; }
  int keep_fd() const noexcept override { return script_.keep_fd; }
  std::optional<int64_t> next_tick() const noexcept override { return next_; }
  int tick_fd() const noexcept override { return script_.tick_fd; }

  State tick() noexcept override {
    ++script_.ticked;
    plan_next();
    if (script_.ticks.empty()) return State::held;
    const State state = script_.ticks.front();
    script_.ticks.pop_front();
    return state;
  }

  void release() override {
    ++script_.released;
    if (script_.on_release) script_.on_release();
    if (script_.release_error) throw StoreError(*script_.release_error);
  }

 private:
  void plan_next() noexcept {
    if (script_.tick_every) next_ = util::boottime_ns() + script_.tick_every->count();
  }

  LeaseScript& script_;
  store::Grant grant_;
  std::optional<int64_t> next_;
};

}  // namespace

store::Acquisition FakeStore::acquire(const store::Claim& claim, const store::Patience& patience,
                                      run::Interrupts& interrupts, store::WaitObserver& observer) {
  claims.push_back(claim);
  patiences.push_back(patience);
  Step step;
  if (!steps.empty()) {
    step = std::move(steps.front());
    steps.pop_front();
  } else if (now.size >= claim.max) {
    step.outcome = store::Outcome::full;
  }
  if (step.meanwhile) step.meanwhile(interrupts, observer);

  store::Acquisition acquisition;
  acquisition.outcome = step.outcome;
  acquisition.max = claim.max;
  acquisition.waited = waited;
  if (step.outcome == store::Outcome::admitted) {
    acquisition.lease = std::make_unique<FakeLease>(lease, grant);
  }
  return acquisition;
}

int64_t FakeStore::size(store::Kind, const std::string&) {
  return now.size;
}

store::Situation FakeStore::situation(store::Kind, const std::string&) {
  if (situation_error) throw StoreError(*situation_error);
  return now;
}

store::Acquisition FaultyStore::acquire(const store::Claim&, const store::Patience&,
                                        run::Interrupts&, store::WaitObserver&) {
  throw StoreError("the store is out of order");
}
int64_t FaultyStore::size(store::Kind, const std::string&) {
  throw StoreError("the store is out of order");
}
store::Situation FaultyStore::situation(store::Kind, const std::string&) {
  throw StoreError("the store is out of order");
}

}  // namespace cachify::test

#include "run/admit.h"

#include "errors.h"
#include "exit_codes.h"
#include "run/deadline.h"
#include "run/explain.h"
#include "run/lease_set.h"
#include "util/log.h"

namespace cachify::run {
namespace {

using store::Outcome;

void explain_refusal(store::Store& store, const store::Claim& claim) {
  if (util::verbosity() != util::Verbosity::verbose) return;
  try {
    const store::Situation situation = store.situation(claim.kind, claim.key);
    util::explain(claim.key + ": " + situation_text(situation, 0, util::realtime_us()));
  } catch (const Error& error) {
    util::explain(error.what());  // the refusal stands, whoever holds it
  }
}

// `claim`: the one that was refused.
int refuse(store::Store& store, const Request& request, const store::Claim& claim,
           const store::Acquisition& acquisition) {
  const std::string text = refusal_text(claim, request.timeout, acquisition);
  if (request.on_full) {
    util::explain(text);  // who names a command to run instead does not want to hear of it
  } else {
    util::message(text);
  }
  explain_refusal(store, claim);
  const int code = acquisition.outcome == Outcome::timed_out ? kExitTimeout : kExitFull;
  return request.conflict_exit_code.value_or(code);
}

store::Patience patience_of(const Request& request) {
  store::Patience patience;
  patience.wait = request.wait;
  if (request.wait && request.timeout) {
    patience.deadline = deadline_after(*request.timeout);
    if (request.timeout->count() <= 0) patience = {};  // the same as not waiting
  }
  return patience;
}

Admittance admittance_of(store::Acquisition acquisition, store::Store& store,
                         const Request& request, const store::Claim& claim,
                         const Interrupts& interrupts) {
  Admittance result;
  if (acquisition.outcome == Outcome::admitted) {
    result.lease = std::move(acquisition.lease);
    result.waited = acquisition.waited;
    return result;
  }
  if (const auto signal = interrupts.caught()) {
    result.ending = stopped_by(*signal);
    return result;
  }
  if (acquisition.outcome == Outcome::interrupted) {
    throw Error(kExitInternal, "the wait for " + claim.key + " ended without a signal");
  }
  result.refused = true;
  result.ending = {refuse(store, request, claim, acquisition), std::nullopt};
  return result;
}

Admittance admit_to_one(store::Store& store, const Request& request, Interrupts& interrupts) {
  WaitExplainer explainer(request.claim);
  return admittance_of(store.acquire(request.claim, patience_of(request), interrupts, explainer),
                       store, request, request.claim, interrupts);
}

// Explains the wait for one key, and looks after the leases of the others meanwhile.
class HoldingExplainer : public WaitExplainer {
 public:
  HoldingExplainer(const store::Claim& claim, LeaseSet& held) : WaitExplainer(claim), held_(held) {}
  bool go_on() override { return held_.all_held(); }
  std::optional<int64_t> next_look() const override { return held_.next_tick(); }
  int look_fd() const override { return held_.tick_fd(); }

 private:
  LeaseSet& held_;
};

// One after the other in the order of their names, which is the same for all callers: who waits for
// a key never holds one that comes after it, so that no circle of waiting callers can close. The
// queue of each key is as fair as ever.
Admittance admit_to_all(store::Store& store, const Request& request, Interrupts& interrupts) {
  const util::MonotonicTime started = util::monotonic_now();
  const store::Patience patience = patience_of(request);
  Admittance result;
  auto held = std::make_unique<LeaseSet>(request.keys);
  try {
    store::Claim claim = request.claim;
    while (const std::string* key = held->next_key()) {
      claim.key = *key;
      HoldingExplainer explainer(claim, *held);
      store::Acquisition acquisition = store.acquire(claim, patience, interrupts, explainer);
      const bool admitted = acquisition.outcome == Outcome::admitted;
      if (admitted) held->add(std::move(acquisition.lease), claim.expiry);
      const bool kept = held->all_held();
      if (admitted && kept) continue;
      give_back(*held);
      if (const auto signal = interrupts.caught()) {
        result.ending = stopped_by(*signal);
      } else if (kept) {
        return admittance_of(std::move(acquisition), store, request, claim, interrupts);
      } else {
        util::message(held->lost_key() +
                      (held->has_expired()
                           ? ": the lock expired before the others could be had"
                           : ": the lock was lost or taken away before the command ran"));
        result.ending = {kExitLost, std::nullopt};
      }
      return result;
    }
  } catch (...) {
    give_back(*held);
    throw;
  }
  result.lease = std::move(held);
  result.waited = util::monotonic_now() - started;
  return result;
}

}  // namespace

Ending stopped_by(int signal) {
  return {kExitSignalBase + signal, signal};
}

void give_back(store::Lease& lease) noexcept {
  try {
    lease.release();
  } catch (const std::exception& error) {
    util::error(error.what());
  }
}

Admittance admit(store::Store& store, const Request& request, Interrupts& interrupts) {
  if (request.keys.size() > 1) return admit_to_all(store, request, interrupts);
  return admit_to_one(store, request, interrupts);
}

}  // namespace cachify::run

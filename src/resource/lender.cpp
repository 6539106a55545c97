#include "resource/lender.h"

#include <poll.h>

#include <algorithm>
#include <array>

#include "errors.h"
#include "run/deadline.h"
#include "util/log.h"
#include "util/text.h"

namespace cachify::resource {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kMostFailures = 3;
constexpr util::Duration kFirstPause = milliseconds(10);
constexpr util::Duration kLongestPause = milliseconds(250);
// How long holders that came before us may take to say what they have.
constexpr util::Duration kUnknown = seconds(5);

timespec to_timespec(int64_t ns) {
  const int64_t positive = std::max<int64_t>(ns, 0);
  return {positive / 1'000'000'000, positive % 1'000'000'000};
}

}  // namespace

Lender::Lender(store::Store& store, Wish wish)
    : wish_(std::move(wish)),
      ledger_(store, wish_.key, wish_.limit + wish_.kill_after),
      rules_{wish_.limit, wish_.kill_after, {"CACHIFY_KEY=" + wish_.key}},
      errands_(ledger_, rules_) {}

void Lender::check_agreement(Catalogue& catalogue, const Facts& facts) const {
  switch (catalogue.agree(wish_.definition, facts)) {
    case Catalogue::Agreement::agreed:
      return;
    case Catalogue::Agreement::undefined:
      throw UsageError("nothing says which resources " + util::quoted(wish_.key) +
                       " has; give --from or --create, or [resource." + wish_.key +
                       "] in the configuration file");
    case Catalogue::Agreement::differs:
      throw UsageError(wish_.key + " is in use by callers that define it otherwise: " +
                       difference(*wish_.definition, catalogue.definition));
    case Catalogue::Agreement::made_otherwise:
      throw UsageError("the resources of " + wish_.key + " were made otherwise: " +
                       difference(*wish_.definition, catalogue.definition) +
                       "; end them first with cachify resource stop");
  }
}

int64_t Lender::agree() {
  int64_t cap = 1;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    // Whoever holds a slot has agreed on something that the store has lost since; or all was
    // stopped a moment ago.
    if (!catalogue.defined && !facts.live.empty() && wish_.definition) {
      Catalogue mine;
      check_agreement(mine, facts);
      cap = mine.cap();
      return;
    }
    check_agreement(catalogue, facts);
    cap = catalogue.cap();
    if (!catalogue.closed() && catalogue.most() == 0) {
      throw UsageError(wish_.key +
                       " has no resources any more; give it one with cachify resource add");
    }
    if (!catalogue.closed() && wish_.count > catalogue.most()) {
      throw UsageError("--count " + std::to_string(wish_.count) + " is more than the " +
                       std::to_string(catalogue.most()) + " that " + util::quoted(wish_.key) +
                       " can have; ask for fewer");
    }
  });
  return std::max(cap, wish_.count);
}

// No list, but somebody who came before us holds slots: he has something that we know nothing of,
// unless he is about to say so.
bool Lender::older_ones_are_unknown(const Catalogue& catalogue, const Facts& facts) const {
  const store::Grant& mine = lease_->grant();
  return !catalogue.defined &&
         std::any_of(facts.live.begin(), facts.live.end(), [&](const store::LiveHolder& holder) {
           return holder.id != mine.id && holder.fence < mine.fence;
         });
}

Step Lender::take(util::MonotonicTime started) {
  Step step;
  bool unknown = false;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    step = {Step::Kind::wait, {}};
    unknown = older_ones_are_unknown(catalogue, facts);
    if (unknown) return;
    check_agreement(catalogue, facts);
    definition_ = catalogue.definition;
    begun_us_ = catalogue.begun_us;
    step = catalogue.next(lease_->grant().id, tried_, facts);
    errands_due_ = catalogue.has_errands();
  });
  const util::Duration waited = util::monotonic_now() - started;
  if (unknown && waited > kUnknown) {
    throw StoreError("the store has lost the list of the resources of " + wish_.key +
                     ", and some are in use; they are known again when their users have ended");
  }
  if (step.kind == Step::Kind::wait && waited > wish_.limit + wish_.kill_after + kUnknown) {
    throw StoreError(wish_.key + ": no resource could be had in time; see cachify resource status");
  }
  return step;
}

std::optional<std::vector<std::string>> Lender::prepare(store::Lease& lease,
                                                        run::Interrupts& interrupts) {
  lease_ = &lease;
  interrupts_ = &interrupts;
  ledger_.use(&interrupts);
  rules_.variables.push_back("CACHIFY_ID=" + lease.grant().id);
  util::MonotonicTime started = util::monotonic_now();
  util::Duration rest = kFirstPause;
  while (static_cast<int64_t>(lent_.size()) < wish_.count) {
    if (interrupts.caught()) return std::nullopt;
    keep_lease();
    Step step = take(started);
    if (step.kind == Step::Kind::wait) {
      pause(rest);
      rest = std::min(rest * 2, kLongestPause);
      continue;
    }
    switch (step.kind) {
      case Step::Kind::lend:
        lend(step.item);
        break;
      case Step::Kind::create:
        if (const auto made = create(step.item)) lend(*made);
        break;
      case Step::Kind::destroy:
        destroy(step.item);
        break;
      default:
        nothing_left(step.kind);
    }
    started = util::monotonic_now();
    rest = kFirstPause;
  }
  if (interrupts.caught()) return std::nullopt;
  std::string value;
  for (const std::string& handle : lent_) value += (value.empty() ? "" : "\n") + handle;
  ready_ = true;
  return std::vector<std::string>{"CACHIFY_RESOURCE=" + value};
}

void Lender::nothing_left(Step::Kind why) const {
  if (why == Step::Kind::stopped)
    throw Error(kExitFull, wish_.key + " is being stopped; try again later");
  if (why == Step::Kind::stuck) {
    throw StoreError("too many resources of " + wish_.key +
                     " could not be destroyed; see cachify resource status, then resource stop");
  }
  throw StoreError("no resource of " + wish_.key +
                   " passes its --check; see cachify resource status");
}

// True: it is ours for COMMAND.
bool Lender::lend(const Item& item) {
  if (definition_.check.empty()) {
    lent_.push_back(item.handle);
    return true;
  }
  Helper helper(check_order(definition_, item, rules_), *interrupts_);
  if (!watch(helper)) return false;
  const bool healthy = helper.succeeded();
  std::optional<Item> to_destroy;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    to_destroy.reset();
    if (catalogue.finish_check(item.number, healthy, facts))
      to_destroy = *catalogue.find(item.number);
  });
  if (healthy) {
    failures_ = 0;
    lent_.push_back(item.handle);
    return true;
  }
  util::message(wish_.key + ": --check of " + util::quoted(item.handle) + " " + helper.failure());
  tried_.insert(item.number);
  if (to_destroy) destroy(*to_destroy);
  if (++failures_ == kMostFailures) {
    throw StoreError(wish_.key + ": " + std::to_string(kMostFailures) +
                     " resources in a row did not pass their --check; see cachify resource status");
  }
  return false;
}

std::optional<Item> Lender::create(const Item& item) {
  Workshop& workshop = ledger_.workshop();
  Helper helper(create_order(definition_, item, workshop.fd_of(*item.work), rules_), *interrupts_);
  const bool undisturbed = watch(helper);
  const Made made = workshop.outcome_of(*item.work);
  bool fresh = true;
  std::optional<Item> mine;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    mine.reset();
    fresh = catalogue.finish_create(item.number, made, facts);
    const Item* found = catalogue.find(item.number);
    if (found != nullptr && found->phase == Phase::ready) mine = *found;
  });
  workshop.end(*item.work);
  if (!undisturbed) return std::nullopt;
  const std::string failure = create_failure(helper, made, fresh);
  if (!failure.empty()) throw StoreError(wish_.key + ": " + failure);
  return mine;
}

void Lender::destroy(const Item& item) {
  Helper helper(destroy_order(definition_, item, rules_), *interrupts_);
  // Ended half-way, it is left to the next one.
  if (watch(helper)) {
    const std::string failure = destroy_failure(helper, item);
    if (!failure.empty()) util::error(wish_.key + ": " + failure);
    ledger_.update([&](Catalogue& catalogue, const Facts&) {
      catalogue.finish_destroy(item.number, failure.empty());
    });
  }
  ledger_.workshop().end(*item.work);
}

// --- time ---------------------------------------------------------------------------------------

void Lender::look_at_lease() {
  if (lease_->tick() == store::Lease::State::held) return;
  lease_gone_ = true;
}

// Many resources take time, also where none of them is waited for.
void Lender::keep_lease() {
  const auto tick = lease_->next_tick();
  if (tick && util::boottime_ns() >= *tick) look_at_lease();
  refuse_without_lease();
}

void Lender::refuse_without_lease() const {
  if (!lease_gone_) return;
  throw Error(kExitLost, wish_.key + ": the slot was taken away before the command could start");
}

// Until the helper has ended. False: it was made to, as a signal came or the slot went.
bool Lender::watch(Helper& helper) {
  bool undisturbed = true;
  while (!helper.look()) {
    if (undisturbed && (interrupts_->caught() || lease_gone_)) {
      undisturbed = false;
      helper.stop();
    }
    std::array<pollfd, 2> fds{pollfd{helper.fd(), POLLIN, 0}, pollfd{lease_->tick_fd(), POLLIN, 0}};
    int64_t left = (helper.next_look() - util::monotonic_now()).count();
    if (const auto tick = lease_->next_tick()) left = std::min(left, *tick - util::boottime_ns());
    const timespec timeout = to_timespec(left);
    const int ready = ::ppoll(fds.data(), fds.size(), &timeout, &interrupts_->wait_mask());
    const auto tick = lease_->next_tick();
    // Also after a poke, which interrupts.
    if (ready < 0 || fds[1].revents != 0 || (tick && util::boottime_ns() >= *tick)) look_at_lease();
  }
  if (!ready_) refuse_without_lease();
  return undisturbed;
}

void Lender::pause(util::Duration time) {
  const util::MonotonicTime until = util::monotonic_now() + time;
  while (!interrupts_->caught()) {
    const int64_t left = (until - util::monotonic_now()).count();
    if (left <= 0) break;
    pollfd fd{lease_->tick_fd(), POLLIN, 0};
    const timespec timeout = to_timespec(left);
    ::ppoll(&fd, 1, &timeout, &interrupts_->wait_mask());
    look_at_lease();
  }
  refuse_without_lease();
}

// --- around COMMAND -----------------------------------------------------------------------------

std::optional<util::MonotonicTime> Lender::attend() noexcept {
  const run::Interrupts::Hold hold(*interrupts_);
  try {
    if (std::exchange(errands_due_, false)) errands_.plan(true, *interrupts_);
  } catch (const std::exception& error) {
    util::error(error.what());
  }
  errands_.look();
  return errands_.next_look();
}

void Lender::give_back() noexcept {
  if (lease_ == nullptr) return;
  try {
    std::vector<Item> to_destroy;
    ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
      const bool lost = !catalogue.defined || catalogue.begun_us != begun_us_;
      if (lost && !lent_.empty() && !definition_.fixed())
        catalogue.restore(definition_, lent_, facts);
      to_destroy = catalogue.give_back(lease_->grant().id, facts);
      errands_due_ = !ready_ && catalogue.has_errands();
      if (catalogue.defined) definition_ = catalogue.definition;
    });
    for (const Item& item : to_destroy) destroy(item);
    if (errands_due_) errands_.plan(false, *interrupts_);
    if (!ready_) errands_.finish(*interrupts_);
  } catch (const std::exception& error) {
    util::error(error.what());
  }
}

void Lender::finish() noexcept {
  errands_.finish(*interrupts_);
}

}  // namespace cachify::resource

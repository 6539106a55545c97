#include "run/steer.h"

#include <algorithm>

#include "run/deadline.h"
#include "run/explain.h"
#include "store/situation.h"
#include "util/log.h"

namespace cachify::run {
namespace {

// Longer than the default from TERM to KILL.
constexpr util::Duration kLong = std::chrono::seconds(15);

}  // namespace

bool is_so(Until until, const store::Situation& situation) noexcept {
  const bool nobody_waits = situation.waiters.empty();
  switch (until) {
    case Until::empty:
      return situation.size == 0;
    case Until::idle:
      return situation.size == 0 && nobody_waits;
    case Until::free:
      break;
  }
  if (situation.closed || !nobody_waits) return false;
  return situation.size == 0 ||
         situation.size < store::max_of(store::Kind::pool, situation).value_or(0);
}

bool wait_until(store::Store& store, store::Kind kind, const std::string& key, Until until,
                const std::optional<util::Duration>& timeout, Interrupts& interrupts) {
  if (timeout && timeout->count() <= 0) return is_so(until, store.situation(kind, key));
  std::optional<util::MonotonicTime> deadline;
  if (timeout) deadline = deadline_after(*timeout);
  const auto enough = [until](const store::Situation& now) { return is_so(until, now); };
  return store.wait_until(kind, key, enough, deadline, interrupts);
}

size_t end_holders(store::Store& store, store::Kind kind, const std::string& key,
                   const std::optional<std::string>& id, Interrupts& interrupts) {
  const std::vector<std::string> asked = store.terminate(kind, key, id, std::nullopt);
  if (asked.empty()) return 0;
  store::Situation left;
  const auto gone = [&](const store::Situation& now) {
    left.holders.clear();
    for (const store::HolderInfo& holder : now.holders) {
      if (std::find(asked.begin(), asked.end(), holder.id) != asked.end()) {
        left.holders.push_back(holder);
      }
    }
    return left.holders.empty();
  };
  for (bool told = false;; told = true) {
    const bool ended = store.wait_until(kind, key, gone, deadline_after(kLong), interrupts);
    if (ended || interrupts.caught()) return asked.size();
    if (!told) {
      util::message(key + ": still waiting for the end; " +
                    situation_text(left, 0, util::realtime_us()));
    }
    // Its cachify may have been killed meanwhile, and then nobody is left who would send KILL.
    for (const store::HolderInfo& holder : left.holders) {
      if (holder.orphan) store.terminate(kind, key, holder.id, util::Duration::zero());
    }
  }
}

}  // namespace cachify::run

#include "map/crowd.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace cachify::map {

Crowd crowd_of(const store::Situation& situation, const store::Who& me, int priority) {
  using Caller = std::pair<std::string, int32_t>;
  const auto caller = [](const store::Who& who) { return Caller{who.host, who.pid}; };
  const Caller we = caller(me);
  std::set<Caller> holding;
  for (const store::HolderInfo& holder : situation.holders) holding.insert(caller(holder.who));
  std::set<Caller> all = holding;
  all.insert(we);
  Crowd crowd;
  crowd.size = situation.size;
  crowd.stored_max = situation.stored_max;
  crowd.closed = situation.closed;
  for (const store::WaiterInfo& waiter : situation.waiters) {
    const Caller other = caller(waiter.who);
    all.insert(other);
    if (other == we || waiter.priority < priority) continue;
    ++crowd.waiting;
    if (!holding.contains(other)) ++crowd.needy;
  }
  crowd.callers = static_cast<int64_t>(all.size());
  return crowd;
}

bool gives_way(const Crowd& crowd, int64_t cap, int64_t held) {
  if (held <= 0) return false;
  if (crowd.size > cap || crowd.needy > 0) return true;
  return crowd.waiting > 0 && held > std::max<int64_t>(1, cap / crowd.callers);
}

void one_given_back(Crowd& crowd) {
  --crowd.size;
  crowd.waiting = std::max<int64_t>(0, crowd.waiting - 1);
  crowd.needy = std::max<int64_t>(0, crowd.needy - 1);
}

}  // namespace cachify::map

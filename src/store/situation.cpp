#include "store/situation.h"

#include <algorithm>

namespace cachify::store {

std::optional<int64_t> max_of(Kind kind, const Situation& situation) noexcept {
  if (kind == Kind::lock) return 1;
  if (situation.stored_max) return situation.stored_max;
  int64_t max = 0;
  for (const HolderInfo& holder : situation.holders) max = std::max(max, holder.max);
  for (const WaiterInfo& waiter : situation.waiters) max = std::max(max, waiter.max);
  return max > 0 ? std::optional(max) : std::nullopt;
}

std::optional<int64_t> free_of(const std::optional<int64_t>& max, int64_t size) noexcept {
  return max ? std::optional(std::max<int64_t>(*max - size, 0)) : std::nullopt;
}

}  // namespace cachify::store

#include "store/file/picture.h"

#include <algorithm>

#include "store/file/info.h"
#include "util/time.h"

namespace cachify::store::file {

std::string id_of(uint64_t ticket) {
  std::string id;
  for (; ticket != 0; ticket >>= 4U) id += "0123456789abcdef"[ticket & 15U];
  std::reverse(id.begin(), id.end());
  return id;
}

namespace {

store::Counters counters_of(const file::Counters& counters) {
  store::Counters shown;
  shown.admitted = static_cast<int64_t>(counters.admitted);
  shown.completed = static_cast<int64_t>(counters.completed);
  shown.rejected = static_cast<int64_t>(counters.rejected);
  shown.timed_out = static_cast<int64_t>(counters.timed_out);
  shown.dismissed = static_cast<int64_t>(counters.dismissed);
  shown.expired = static_cast<int64_t>(counters.expired);
  shown.waited_us = static_cast<int64_t>(counters.waited_us);
  shown.longest_wait_us = static_cast<int64_t>(counters.longest_wait_us);
  return shown;
}

}  // namespace

Situation picture_of(StateFile& state, std::optional<uint32_t> self) {
  Table& table = state.table();
  const int64_t now = util::boottime_ns();
  table.drop_expired(now);
  table.drop_dead_holders(state);

  Situation situation;
  situation.size = static_cast<int64_t>(table.used());
  if (table.header.stored_max != 0) situation.stored_max = table.header.stored_max;
  situation.closed = table.header.closed != 0;
  situation.created_us = table.header.created_us;
  situation.counters = counters_of(table.header.counters);
  const std::vector<Info> infos = state.read_infos();
  for (const uint32_t index : table.holders()) {
    const Entry& entry = table.entries[index];
    const Info& info = infos[index];
    HolderInfo holder;
    holder.id = id_of(entry.ticket);
    holder.slot = entry.slot;
    holder.weight = entry.weight;
    holder.shared = entry.shared != 0;
    holder.orphan = !state.lives(index, entry.ticket);
    holder.fence = entry.fence;
    holder.max = entry.max;
    holder.ending = entry.ending != 0;
    holder.who = who_of(info);
    holder.since_us = info.since_us;
    if (entry.expires != 0) holder.expires_in_ms = (entry.expires - now) / 1'000'000;
    situation.holders.push_back(std::move(holder));
  }
  std::sort(situation.holders.begin(), situation.holders.end(),
            [](const HolderInfo& a, const HolderInfo& b) { return a.slot < b.slot; });
  for (const uint32_t index : table.live_queue(state, self)) {
    const Entry& entry = table.entries[index];
    const Info& info = infos[index];
    WaiterInfo waiter;
    waiter.id = id_of(entry.ticket);
    waiter.position = static_cast<int64_t>(situation.waiters.size()) + 1;
    waiter.priority = entry.priority;
    waiter.weight = entry.weight;
    waiter.shared = entry.shared != 0;
    waiter.max = entry.max;
    waiter.who = who_of(info);
    waiter.since_us = info.since_us;
    situation.waiters.push_back(std::move(waiter));
  }
  return situation;
}

KeySummary summary_of(StateFile& state) {
  Table& table = state.table();
  table.drop_expired(util::boottime_ns());
  table.drop_dead_holders(state);
  const std::vector<uint32_t> waiters = table.live_queue(state, std::nullopt);

  KeySummary summary;
  summary.size = static_cast<int64_t>(table.used());
  summary.waiting = static_cast<int64_t>(waiters.size());
  summary.stored = table.header.stored_max != 0;
  summary.closed = table.header.closed != 0;
  summary.max = table.header.stored_max;
  for (const Entry& entry : table.entries) {
    if (!summary.stored) summary.max = std::max<int64_t>(summary.max, entry.max);
  }
  return summary;
}

}  // namespace cachify::store::file

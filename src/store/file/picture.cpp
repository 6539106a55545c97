#include "store/file/picture.h"

#include <algorithm>

#include "util/time.h"

namespace cachify::store::file {

std::string id_of(uint64_t ticket) {
  std::string id;
  for (; ticket != 0; ticket >>= 4U) id += "0123456789abcdef"[ticket & 15U];
  std::reverse(id.begin(), id.end());
  return id;
}

namespace {

Who who_of(const Info& info) {
  Who who;
  who.pid = static_cast<int32_t>(info.pid);
  who.uid = info.uid;
  who.host = info.host;
  who.command = info.command;
  return who;
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
  for (const uint32_t index : table.holders()) {
    const Entry& entry = table.entries[index];
    const Info info = state.read_info(index);
    HolderInfo holder;
    holder.id = id_of(entry.ticket);
    holder.slot = entry.slot;
    holder.weight = entry.weight;
    holder.shared = entry.shared != 0;
    holder.orphan = !state.lives(index, entry.ticket);
    holder.fence = entry.fence;
    holder.who = who_of(info);
    holder.since_us = info.since_us;
    if (entry.expires != 0) holder.expires_in_ms = (entry.expires - now) / 1'000'000;
    situation.holders.push_back(std::move(holder));
  }
  std::sort(situation.holders.begin(), situation.holders.end(),
            [](const HolderInfo& a, const HolderInfo& b) { return a.slot < b.slot; });
  for (const uint32_t index : table.live_queue(state, self)) {
    const Entry& entry = table.entries[index];
    const Info info = state.read_info(index);
    WaiterInfo waiter;
    waiter.id = id_of(entry.ticket);
    waiter.position = static_cast<int64_t>(situation.waiters.size()) + 1;
    waiter.priority = entry.priority;
    waiter.weight = entry.weight;
    waiter.shared = entry.shared != 0;
    waiter.who = who_of(info);
    waiter.since_us = info.since_us;
    situation.waiters.push_back(std::move(waiter));
  }
  return situation;
}

}  // namespace cachify::store::file

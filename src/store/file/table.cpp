#include "store/file/table.h"

#include <algorithm>
#include <limits>

namespace cachify::store::file {

namespace {

bool takes_slots(const Entry& entry) {
  return entry.state == EntryState::holding || entry.state == EntryState::extra;
}

}  // namespace

uint64_t Table::draw(int64_t now_us) {
  const uint64_t now = now_us > 0 ? static_cast<uint64_t>(now_us) : 0;
  header.next = std::max(header.next + 1, now);
  return header.next;
}

void Table::set(uint32_t index, Entry entry) {
  entry.checksum = checksum_of(entry);
  if (index >= entries.size()) entries.resize(index + 1, Entry{});
  entries[index] = entry;
  header.high_water = std::max(header.high_water, index + 1);
  dirty_.push_back(index);
}

void Table::clear(uint32_t index) {
  entries[index] = Entry{};
  dirty_.push_back(index);
}

uint32_t Table::free_index() const {
  const auto it = std::find_if(entries.begin(), entries.end(),
                               [](const Entry& e) { return e.state == EntryState::free; });
  return static_cast<uint32_t>(it - entries.begin());
}

void Table::drop_holder(uint32_t index) {
  const Entry gone = entries[index];
  clear(index);  // first: extras without their holder count for nobody
  if (gone.count == gone.weight || gone.shared != 0) return;
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (entries[i].state == EntryState::extra && entries[i].ticket == gone.ticket) clear(i);
  }
}

void Table::drop_stray_extras() {
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (entries[i].state != EntryState::extra) continue;
    const uint32_t primary = entries[i].primary;
    if (primary >= entries.size() || entries[primary].state != EntryState::holding ||
        entries[primary].ticket != entries[i].ticket) {
      clear(i);
    }
  }
}

void Table::drop_expired(int64_t now_boottime_ns) {
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (entry.state == EntryState::holding && entry.expires != 0 &&
        entry.expires <= now_boottime_ns) {
      drop_holder(i);
      ++header.counters.expired;
    }
  }
}

void Table::drop_dead_holders(Liveness& liveness) {
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (entry.state == EntryState::holding && !liveness.holds(i, entry.ticket)) drop_holder(i);
    if (entry.state == EntryState::dismissed && !liveness.waits(i, entry.ticket)) clear(i);
  }
}

uint64_t Table::used() const {
  uint64_t sum = 0;
  for (const Entry& entry : entries) {
    if (takes_slots(entry)) sum += entry.count;
  }
  return sum;
}

bool Table::fits(const Wish& wish) const {
  if (!wish.lock) return used() + wish.weight <= cap(wish);
  return std::none_of(entries.begin(), entries.end(), [&](const Entry& entry) {
    return takes_slots(entry) && !(wish.shared && entry.shared != 0);
  });
}

std::vector<std::pair<uint32_t, uint32_t>> Table::free_slots(uint32_t weight) const {
  std::vector<std::pair<uint32_t, uint32_t>> taken;
  for (const Entry& entry : entries) {
    if (takes_slots(entry)) taken.emplace_back(entry.slot, entry.count);
  }
  std::sort(taken.begin(), taken.end());
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
  uint32_t at = 0;
  for (const auto& [slot, count] : taken) {
    if (weight == 0) break;
    if (slot > at) {
      const uint32_t take = std::min(weight, slot - at);
      ranges.emplace_back(at, take);
      weight -= take;
    }
    at = std::max(at, slot + count);
  }
  if (weight > 0) ranges.emplace_back(at, weight);
  return ranges;
}

std::vector<uint32_t> Table::queue() const {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (entries[i].state == EntryState::waiting) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return served_before(entries[a].priority, entries[a].ticket, entries[b].priority,
                         entries[b].ticket);
  });
  return order;
}

std::optional<uint32_t> Table::nearest_before(int16_t priority, uint64_t ticket,
                                              Liveness& liveness) {
  const std::vector<uint32_t> order = queue();
  auto behind = std::find_if(order.begin(), order.end(), [&](uint32_t i) {
    return !served_before(entries[i].priority, entries[i].ticket, priority, ticket);
  });
  while (behind != order.begin()) {
    const uint32_t candidate = *--behind;
    if (liveness.waits(candidate, entries[candidate].ticket)) return candidate;
    clear(candidate);
  }
  return std::nullopt;
}

std::vector<uint32_t> Table::live_queue(Liveness& liveness, std::optional<uint32_t> self) {
  std::vector<uint32_t> live;
  for (const uint32_t i : queue()) {
    if (i == self || liveness.waits(i, entries[i].ticket)) {
      live.push_back(i);
    } else {
      clear(i);
    }
  }
  return live;
}

std::vector<uint32_t> Table::heads(Liveness& liveness) {
  std::vector<uint32_t> heads;
  uint64_t first = std::numeric_limits<uint64_t>::max();
  for (const uint32_t i : queue()) {
    if (entries[i].ticket > first) continue;
    if (!liveness.waits(i, entries[i].ticket)) {
      clear(i);
      continue;
    }
    heads.push_back(i);
    first = entries[i].ticket;
  }
  return heads;
}

std::vector<uint32_t> Table::dismiss_all(Liveness& liveness) {
  const std::vector<uint32_t> live = live_queue(liveness, std::nullopt);
  for (const uint32_t i : live) {
    Entry entry = entries[i];
    entry.state = EntryState::dismissed;
    set(i, entry);
  }
  header.counters.dismissed += live.size();
  return live;
}

std::vector<uint32_t> Table::holders() const {
  std::vector<uint32_t> list;
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (entries[i].state == EntryState::holding) list.push_back(i);
  }
  return list;
}

std::vector<uint32_t> Table::to_replace(const Wish& wish) const {
  if (!wish.lock && wish.weight > cap(wish)) return {};
  std::vector<uint32_t> candidates;
  uint64_t staying = 0;
  for (const uint32_t i : holders()) {
    const Entry& entry = entries[i];
    if (entry.ending != 0 || (wish.shared && entry.shared != 0)) continue;
    candidates.push_back(i);
    staying += entry.weight;
  }
  if (wish.lock) return candidates;
  std::sort(candidates.begin(), candidates.end(),
            [this](uint32_t a, uint32_t b) { return entries[a].fence < entries[b].fence; });
  size_t needed = 0;
  for (; needed < candidates.size() && staying + wish.weight > cap(wish); ++needed) {
    staying -= entries[candidates[needed]].weight;
  }
  candidates.resize(needed);
  return candidates;
}

void Table::ask_to_end(uint32_t index, std::optional<util::Duration> kill_after) {
  Entry entry = entries[index];
  entry.ending = kEndingAsHolderSays;
  if (kill_after) {
    const int64_t ms = (std::max<int64_t>(kill_after->count(), 0) + 999'999) / 1'000'000;
    entry.ending = static_cast<uint32_t>(std::min<int64_t>(ms + 1, kEndingAsHolderSays - 1));
  }
  set(index, entry);
}

std::optional<util::Duration> kill_after_of(const Entry& entry) {
  if (entry.ending == 0 || entry.ending == kEndingAsHolderSays) return std::nullopt;
  return std::chrono::milliseconds(entry.ending - 1);
}

std::optional<int64_t> Table::nearest_expiry() const {
  std::optional<int64_t> nearest;
  for (const Entry& entry : entries) {
    if (entry.state == EntryState::holding && entry.expires != 0 &&
        (!nearest || entry.expires < *nearest)) {
      nearest = entry.expires;
    }
  }
  return nearest;
}

}  // namespace cachify::store::file

#include "resource/catalogue.h"

#include <algorithm>
#include <utility>

namespace cachify::resource {

namespace {

// Still one of those that are there or come.
bool counts(const Item& item) noexcept {
  return item.phase != Phase::broken && !item.overdue;
}

bool is_free(const Item& item) noexcept {
  return item.phase == Phase::ready && item.holder.empty();
}

bool is_busy(const Item& item) noexcept {
  return (item.phase == Phase::creating && !item.overdue) ||
         (item.phase == Phase::destroying && item.work);
}

}  // namespace

bool Facts::lives(const std::string& id) const noexcept {
  return std::any_of(live.begin(), live.end(), [&](const auto& holder) { return holder.id == id; });
}

Item* Catalogue::find(uint64_t number) noexcept {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const Item& item) { return item.number == number; });
  return found == items.end() ? nullptr : &*found;
}

Item* Catalogue::find(const std::string& handle) noexcept {
  const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) {
    return item.handle == handle && item.phase != Phase::creating;
  });
  return found == items.end() ? nullptr : &*found;
}

bool Catalogue::has(const std::string& handle, uint64_t but) const noexcept {
  return std::any_of(items.begin(), items.end(), [&](const Item& item) {
    return item.number != but && item.handle == handle && item.phase != Phase::creating;
  });
}

std::vector<uint64_t> Catalogue::numbers() const {
  std::vector<uint64_t> list;
  for (const Item& item : items) list.push_back(item.number);
  return list;
}

int64_t Catalogue::occupied() const noexcept {
  return std::count_if(items.begin(), items.end(), counts);
}

int64_t Catalogue::broken() const noexcept {
  return std::count_if(items.begin(), items.end(),
                       [](const Item& item) { return item.phase == Phase::broken; });
}

int64_t Catalogue::cap() const noexcept {
  return definition.fixed() ? std::max<int64_t>(occupied(), 1) : definition.max;
}

int64_t Catalogue::most() const noexcept {
  if (!definition.fixed()) return definition.max;
  return std::count_if(items.begin(), items.end(),
                       [](const Item& item) { return counts(item) && !item.going; });
}

bool Catalogue::closed() const noexcept {
  return stopping && occupied() > 0;
}

bool Catalogue::too_old(const Item& item, const Facts& facts) const noexcept {
  return definition.max_life && facts.now_us - item.made_us > definition.max_life->count() / 1000;
}

Item& Catalogue::append(std::string handle, const Facts& facts) {
  Item item;
  item.number = next_number++;
  item.handle = std::move(handle);
  item.made_us = facts.now_us;
  items.push_back(std::move(item));
  return items.back();
}

Item& Catalogue::append_creating(const std::string& holder, const Facts& facts) {
  Item& item = append({}, facts);
  item.phase = Phase::creating;
  item.holder = holder;
  item.work = facts.works->begin(facts.now_us + facts.work_us);
  return item;
}

void Catalogue::drop(uint64_t number) {
  items.erase(std::remove_if(items.begin(), items.end(),
                             [&](const Item& item) { return item.number == number; }),
              items.end());
}

// The item goes. True when it is to be destroyed first: it is a leftover then, until somebody takes
// it on. A fixed name that is only unhealthy stays, set aside.
bool Catalogue::dispose(uint64_t number) {
  Item& item = *find(number);
  item.holder.clear();
  if (!definition.destroy.empty()) {
    item.phase = Phase::destroying;
    item.work.reset();
    return true;
  }
  finish_destroy(number, true);
  return false;
}

const Item& Catalogue::take_on(uint64_t number, const Facts& facts) {
  Item& item = *find(number);
  item.phase = Phase::destroying;
  item.work = facts.works->begin(facts.now_us + facts.work_us);
  return item;
}

void Catalogue::finish_destroy(uint64_t number, bool succeeded) {
  Item* item = find(number);
  if (item == nullptr) return;
  item->work.reset();
  item->holder.clear();
  if (definition.fixed() && !item->going && !stopping) {
    item->phase = Phase::ready;
    item->health = Health::failed;
  } else if (succeeded) {
    ++destroyed;
    drop(number);
  } else {
    item->phase = Phase::broken;
  }
}

std::vector<Work> Catalogue::settle(const Facts& facts) {
  std::vector<Work> over;
  for (const uint64_t number : numbers()) {
    Item& item = *find(number);
    if (item.phase == Phase::ready && !item.holder.empty() && !facts.lives(item.holder)) {
      item.holder.clear();
      item.health = Health::unknown;
    }
    if (is_free(item) && (item.going || stopping)) {
      dispose(number);
      continue;
    }
    if (!item.work) continue;
    const Progress progress = facts.works->progress(*item.work, facts.now_us);
    if (progress == Progress::busy) continue;
    if (item.phase == Phase::destroying) {
      over.push_back(*item.work);
      item.work.reset();
    } else if (progress == Progress::overdue) {
      item.overdue = true;
    } else {
      over.push_back(*item.work);
      const Made outcome = facts.works->made(*item.work);
      item.holder.clear();  // its maker is dead, or would have said so
      adopt(item, outcome, facts);
    }
  }
  return over;
}

// `item` was being created.
void Catalogue::adopt(Item& item, const Made& outcome, const Facts& facts) {
  const uint64_t number = item.number;
  if (outcome.handle.empty() || has(outcome.handle, number)) {
    drop(number);
    return;
  }
  item.handle = outcome.handle;
  item.phase = Phase::ready;
  item.work.reset();
  item.overdue = false;
  item.made_us = facts.now_us;
  ++made;
  if (outcome.result == Made::Result::failed ||
      ((item.going || stopping) && !facts.lives(item.holder))) {
    item.going = true;
    dispose(number);
  }
}

bool Catalogue::finish_create(uint64_t number, const Made& outcome, const Facts& facts) {
  const bool twice = !outcome.handle.empty() && has(outcome.handle, number);
  if (Item* item = find(number)) {
    adopt(*item, outcome, facts);
  } else if (!outcome.handle.empty() && !twice) {
    // The store has lost its data meanwhile.
    append(outcome.handle, facts);
    ++made;
  }
  return !twice;
}

// --- agreeing -----------------------------------------------------------------------------------

bool Catalogue::idle(const Facts& facts) const {
  return facts.live.empty() && facts.waiting == 0 &&
         std::none_of(items.begin(), items.end(), is_busy);
}

Catalogue::Agreement Catalogue::agree(const std::optional<Definition>& wanted, const Facts& facts) {
  if (!defined) {
    if (!wanted) return Agreement::undefined;
    define(*wanted, facts);
    return Agreement::agreed;
  }
  if (!wanted || closed()) return Agreement::agreed;
  if (!stopping && difference(*wanted, definition).empty()) return Agreement::agreed;
  if (!stopping && wanted->fixed() && definition.fixed()) {
    // The list as add and remove have made it is the same list.
    Definition current = definition;
    current.names.clear();
    for (const Item& item : items) {
      if (!item.going) current.names.push_back(item.handle);
    }
    if (difference(*wanted, current).empty()) return Agreement::agreed;
  }
  if (!idle(facts)) return Agreement::differs;
  if (!definition.fixed() && !items.empty() && wanted->create != definition.create)
    return Agreement::made_otherwise;
  define(*wanted, facts);
  return Agreement::agreed;
}

void Catalogue::define(const Definition& wanted, const Facts& facts) {
  if (!defined) begun_us = facts.now_us;
  definition = wanted;
  defined = true;
  stopping = false;
  if (wanted.fixed()) {
    std::vector<Item> before = std::exchange(items, {});
    for (const std::string& name : wanted.names) {
      const auto known = std::find_if(before.begin(), before.end(),
                                      [&](const Item& item) { return item.handle == name; });
      if (known != before.end() && known->phase == Phase::ready) {
        known->going = false;
        items.push_back(std::move(*known));
      } else {
        append(name, facts);
      }
    }
    return;
  }
  int64_t surplus = occupied() - wanted.max;
  const std::vector<uint64_t> all = numbers();
  for (auto number = all.rbegin(); number != all.rend() && surplus > 0; ++number) {
    if (!is_free(*find(*number))) continue;
    find(*number)->going = true;
    dispose(*number);
    --surplus;
  }
}

// --- lending ------------------------------------------------------------------------------------

Step Catalogue::next(const std::string& me, const std::set<uint64_t>& tried, const Facts& facts) {
  if (stopping) return {Step::Kind::stopped, {}};
  const auto lend = [&](Item& item) -> Step {
    item.holder = me;
    return {Step::Kind::lend, item};
  };
  for (const uint64_t number : numbers()) {
    Item& item = *find(number);
    if (!is_free(item) || item.health == Health::failed || tried.count(number) != 0) continue;
    if (!too_old(item, facts)) return lend(item);
    item.going = true;
    if (dispose(number)) return {Step::Kind::destroy, take_on(number, facts)};
  }
  if (!definition.fixed() && occupied() < definition.max) {
    if (broken() >= std::max<int64_t>(definition.max, 3)) return {Step::Kind::stuck, {}};
    return {Step::Kind::create, append_creating(me, facts)};
  }
  for (const Item& item : items) {
    if (item.phase == Phase::destroying && !item.work)
      return {Step::Kind::destroy, take_on(item.number, facts)};
  }
  for (Item& item : items) {
    if (is_free(item) && tried.count(item.number) == 0) return lend(item);
  }
  const bool others_at_work = std::any_of(items.begin(), items.end(), is_busy);
  if (others_at_work || tried.empty()) return {Step::Kind::wait, {}};
  return {Step::Kind::nothing, {}};
}

bool Catalogue::finish_check(uint64_t number, bool healthy, const Facts& facts) {
  Item* item = find(number);
  if (item == nullptr) return false;
  item->checked_us = facts.now_us;
  item->health = healthy ? Health::good : Health::failed;
  if (healthy) return false;
  if (!definition.fixed()) item->going = true;
  if (!dispose(number)) return false;
  take_on(number, facts);
  return true;
}

std::vector<Item> Catalogue::give_back(const std::string& me, const Facts& facts) {
  std::vector<Item> to_destroy;
  for (const uint64_t number : numbers()) {
    Item& item = *find(number);
    if (item.holder != me || item.phase != Phase::ready) continue;
    item.holder.clear();
    ++item.uses;
    if ((item.going || stopping) && dispose(number)) to_destroy.push_back(take_on(number, facts));
  }
  return to_destroy;
}

// How many spares are to be made.
int64_t Catalogue::missing() const noexcept {
  if (stopping || definition.fixed()) return 0;
  const int64_t there = std::count_if(items.begin(), items.end(), [](const Item& item) {
    return counts(item) && !item.going && item.phase != Phase::destroying;
  });
  return std::min(definition.min - there, definition.max - occupied());
}

bool Catalogue::has_errands() const noexcept {
  return missing() > 0 || std::any_of(items.begin(), items.end(), [](const Item& item) {
           return item.phase == Phase::destroying && !item.work;
         });
}

std::vector<Item> Catalogue::errands(bool spares, const Facts& facts) {
  std::vector<Item> list;
  for (const uint64_t number : numbers()) {
    const Item& item = *find(number);
    if (item.phase == Phase::destroying && !item.work) list.push_back(take_on(number, facts));
  }
  while (spares && missing() > 0) list.push_back(append_creating({}, facts));
  return list;
}

void Catalogue::restore(const Definition& agreed, const std::vector<std::string>& handles,
                        const Facts& facts) {
  if (!defined) define(agreed, facts);
  for (const std::string& handle : handles) {
    if (has(handle, 0)) continue;
    append(handle, facts);
    ++made;
  }
}

// --- steering -----------------------------------------------------------------------------------

Catalogue::Removal Catalogue::remove(const std::string& handle, const Facts& facts,
                                     std::vector<Item>& to_destroy) {
  Item* item = find(handle);
  if (item == nullptr) return Removal::none;
  const uint64_t number = item->number;
  item->going = true;
  if (!item->holder.empty() || is_busy(*item)) return Removal::marked;
  if (!dispose(number)) return Removal::gone;
  to_destroy.push_back(take_on(number, facts));
  return Removal::to_destroy;
}

Catalogue::Addition Catalogue::add(const std::string& handle, const Facts& facts) {
  if (!defined) {
    Definition one;
    one.names = {handle};
    define(one, facts);
    return Addition::added;
  }
  if (Item* item = find(handle)) {
    const bool marked = std::exchange(item->going, false);
    return marked && item->phase == Phase::ready ? Addition::added : Addition::there;
  }
  if (!definition.fixed() && occupied() >= definition.max) return Addition::full;
  append(handle, facts);
  if (!definition.fixed()) ++made;
  return Addition::added;
}

int64_t Catalogue::stop(const Facts& facts, std::vector<Item>& to_destroy) {
  stopping = true;
  int64_t later = 0;
  for (const uint64_t number : numbers()) {
    Item& item = *find(number);
    item.going = true;
    if (item.overdue) {
      // Whether it was ever made can be told on its host only, and nobody there has asked.
      drop(number);
    } else if (item.phase == Phase::creating || !item.holder.empty() || is_busy(item)) {
      ++later;
    } else if (dispose(number)) {
      to_destroy.push_back(take_on(number, facts));
    }
  }
  return later;
}

}  // namespace cachify::resource

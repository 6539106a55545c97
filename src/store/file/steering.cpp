#include "store/file/steering.h"

#include <csignal>
#include <utility>

#include "errors.h"
#include "run/interrupts.h"
#include "store/file/maps_file.h"
#include "store/file/picture.h"

namespace cachify::store::file {

Steering::Steering(const Directory& directory, Kind kind, std::string prefixed_key, std::string key)
    : directory_(directory),
      state_(directory, kind, std::move(prefixed_key)),
      kind_(kind),
      key_(std::move(key)) {}

bool Steering::lock(StateFile::Access access) {
  if (state_.lock(access, {}) != StateFile::Locking::locked) return false;
  state_.table().drop_expired(util::boottime_ns());
  return true;
}

// The head may sleep on the bell, or (C5) on a byte that nobody is going to free: it is rung for
// and poked, and so is who was the head before it and was overtaken. Who comes behind them follows
// when they have been admitted.
void Steering::there_may_be_room(bool ring_at_death) {
  Table& table = state_.table();
  if (kind_ != Kind::lock && bell_.map(state_.fd(), state_.status())) {
    // Should we be killed before we have woken who sleeps.
    if (ring_at_death) bell_.ring_at_death();
    if (table.header.bell == kBellArmed) {
      table.header.bell = kBellRung;
      ring_ = true;
    }
  }
  for (const uint32_t head : table.heads(state_)) {
    to_poke_.push_back(owner_of(state_, head, kWaitByte));
  }
}

// What was changed is written first, or who is woken would sleep on.
void Steering::finish() {
  state_.commit();
  state_.unlock();
  if (ring_) bell_.wake_all();
  bell_.forget_death();
  signal_owners(state_, to_poke_, run::kPokeSignal);
  if (tell_maps_) poke_maps(directory_, state_.key());
}

void Steering::resize(std::optional<uint32_t> max) {
  if (!lock(max ? StateFile::Access::create : StateFile::Access::existing)) return;
  Table& table = state_.table();
  table.header.stored_max = max.value_or(0);
  tell_maps_ = kind_ == Kind::pool;
  there_may_be_room();
  if (!max) {
    // Who has named no cap of his own can wait no longer, wherever he stands.
    for (const uint32_t index : table.queue()) {
      if (table.entries[index].max == 0) to_poke_.push_back(owner_of(state_, index, kWaitByte));
    }
  }
  finish();
}

void Steering::set_closed(bool closed) {
  if (!lock(closed ? StateFile::Access::create : StateFile::Access::existing)) return;
  state_.table().header.closed = closed ? 1 : 0;
  tell_maps_ = kind_ == Kind::pool;
  finish();
}

int64_t Steering::dismiss() {
  if (!lock(StateFile::Access::existing)) return 0;
  const std::vector<uint32_t> dismissed = state_.table().dismiss_all(state_);
  for (const uint32_t index : dismissed) to_poke_.push_back(owner_of(state_, index, kWaitByte));
  finish();
  return static_cast<int64_t>(dismissed.size());
}

std::vector<uint32_t> Steering::live_holders(const std::optional<std::string>& id) {
  Table& table = state_.table();
  std::vector<uint32_t> holders;
  for (const uint32_t index : table.holders()) {
    const uint64_t ticket = table.entries[index].ticket;
    if ((!id || id_of(ticket) == *id) && state_.holds(index, ticket)) holders.push_back(index);
  }
  return holders;
}

int64_t Steering::give_back(const std::optional<std::string>& id) {
  if (!lock(StateFile::Access::existing)) return 0;
  const std::vector<uint32_t> holders = live_holders(id);
  for (const uint32_t index : holders) {
    // A keeper without a command ends when it sees that its slot is gone.
    to_poke_.push_back(owner_of(state_, index, kLifeByte));
    state_.table().clear(index);
  }
  if (!holders.empty()) {
    state_.table().header.counters.completed += holders.size();
    there_may_be_room();
    // Before the extras, which may lie in the page that is written first: a holder without them
    // would count for less than its command has, should we be killed in between.
    state_.commit();
    state_.table().drop_stray_extras();
  }
  finish();
  return static_cast<int64_t>(holders.size());
}

std::vector<std::string> Steering::terminate(const std::optional<std::string>& id,
                                             std::optional<util::Duration> kill_after) {
  std::vector<std::string> asked;
  if (!lock(StateFile::Access::existing)) return asked;
  const std::vector<uint32_t> holders = live_holders(id);
  std::vector<Owner> out_of_reach = ask_to_end(state_, holders, kill_after);
  std::vector<Owner> orphans;
  for (const uint32_t index : holders) {
    const Entry& entry = state_.table().entries[index];
    if (entry.ending == 0) continue;
    asked.push_back(id_of(entry.ticket));
    if (!state_.lives(index, entry.ticket)) orphans.push_back(owner_of(state_, index, kHoldByte));
  }
  finish();
  // Nobody else looks after their time: who asks for none gets none.
  const int signal = kill_after && kill_after->count() == 0 ? SIGKILL : SIGTERM;
  for (const Owner& orphan : orphans) {
    if (end_orphan(state_, orphan, signal) == Reach::out_of_reach) out_of_reach.push_back(orphan);
  }
  if (!out_of_reach.empty()) cannot_end(key_, out_of_reach.front());
  return asked;
}

// M held.
CatalogueView Steering::view_of(const CatalogueFile& file) {
  Table& table = state_.table();
  table.drop_dead_holders(state_);
  CatalogueView view;
  view.text = file.read();
  view.now_us = util::realtime_us();
  if (table.header.stored_max != 0) view.max = table.header.stored_max;
  view.closed = table.header.closed != 0;
  for (const uint32_t index : table.holders()) {
    view.live.push_back({id_of(table.entries[index].ticket), table.entries[index].fence});
  }
  view.waiting = static_cast<int64_t>(table.live_queue(state_, std::nullopt).size());
  return view;
}

CatalogueView Steering::catalogue() {
  const CatalogueFile file(directory_, state_.name());
  if (lock(StateFile::Access::read_only)) return view_of(file);
  CatalogueView view;
  view.text = file.read();
  view.now_us = util::realtime_us();
  return view;
}

void Steering::update_catalogue(const Store::ChangeCatalogue& change, run::Interrupts* interrupts) {
  state_.lock(StateFile::Access::create, {interrupts});
  Table& table = state_.table();
  table.drop_expired(util::boottime_ns());
  const CatalogueFile file(directory_, state_.name());
  const CatalogueView view = view_of(file);
  const std::optional<CatalogueChange> wanted = change(view);
  if (wanted) {
    if (wanted->text != view.text) file.write(wanted->text);
    const auto max = static_cast<uint32_t>(wanted->max.value_or(0));
    const uint32_t closed = wanted->closed ? 1 : 0;
    const bool more = max > table.header.stored_max;
    const bool differs = max != table.header.stored_max || closed != table.header.closed;
    table.header.stored_max = max;
    table.header.closed = closed;
    // The bell of a slot that this process holds stays what it was: no ring_at_death() here. Killed
    // before the ring, we leave a head that notices within a second.
    if (more && !table.queue().empty()) there_may_be_room(false);
    if (differs || !table.dirty().empty()) {
      finish();
      return;
    }
  }
  state_.unlock();
}

std::vector<Owner> ask_to_end(StateFile& state, const std::vector<uint32_t>& holders,
                              std::optional<util::Duration> kill_after) {
  Table& table = state.table();
  std::vector<Owner> owners;
  for (const uint32_t index : holders) {
    if (state.lives(index, table.entries[index].ticket)) {
      owners.push_back(owner_of(state, index, kLifeByte));
    } else {
      table.ask_to_end(index, kill_after);
    }
  }
  const std::vector<Reach> reach = signal_owners(state, owners, 0);
  std::vector<Owner> reachable;
  std::vector<Owner> out_of_reach;
  for (size_t i = 0; i < owners.size(); ++i) {
    const bool reached = reach[i] != Reach::out_of_reach;
    (reached ? reachable : out_of_reach).push_back(owners[i]);
    if (reached) table.ask_to_end(owners[i].index, kill_after);
  }
  state.commit();
  signal_owners(state, reachable, run::kPokeSignal);
  return out_of_reach;
}

Reach end_orphan(StateFile& state, const Owner& holder, int signal) {
  // A stopped command could not act on it.
  const Reach reach = signal_owners(state, {holder}, signal).front();
  if (reach == Reach::reached && signal != SIGKILL) signal_owners(state, {holder}, SIGCONT);
  return reach;
}

void cannot_end(const std::string& key, const Owner& holder) {
  throw StoreError("cannot end the holder " + id_of(holder.ticket) + " of '" + key + "': process " +
                   std::to_string(holder.info.pid) + " of user " + std::to_string(holder.info.uid) +
                   " on " + holder.info.host +
                   " cannot be seen or signalled from here; do it as that user or as root, outside "
                   "of any container");
}

}  // namespace cachify::store::file

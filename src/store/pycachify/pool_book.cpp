#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "errors.h"
#include "store/pycachify/book.h"
#include "store/redis/random.h"

namespace cachify::store::pycachify {

namespace {

// KEYS: state, guard. ARGV: the state as it was read, and as it is to be; empty: none. A state that
// is empty is damaged, and has been refused.
constexpr const char* kSwap = R"lua(
if redis.call('EXISTS', KEYS[2]) == 1 then return {'GUARDED'} end
local now = redis.call('GET', KEYS[1])
local same = now == ARGV[1]
if ARGV[1] == '' then same = not now end
if not same then return {'CHANGED', now} end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return {'DONE'})lua";

// One of those who swap at the same time always succeeds, so who tries this often is very unlucky.
constexpr int kMostTries = 100;

// The ids of our slots are UUIDs of version 8 (RFC 9562: the maker's own): "cac1", the number of
// the slot in eight digits, "8", and random digits. Python's are of version 4. So CACHIFY_SLOT can
// be told from the state alone, and no two commands have the same.
constexpr std::string_view kOurs = "cac1";
constexpr size_t kSlotDigits = 8;

std::string make_id(int64_t slot, const std::array<uint64_t, 2>& random) {
  std::array<char, 33> text{};
  const auto number = static_cast<uint32_t>(slot);
  const auto few = static_cast<unsigned>(random[0] & 0xfffU);
  const uint64_t many = (random[1] & 0x3fffffffffffffffU) | 0x8000000000000000U;
  std::snprintf(text.data(), text.size(), "cac1%08x8%03x%016llx", number, few,
                static_cast<unsigned long long>(many));
  return text.data();
}

// -1: not one of ours.
int64_t slot_of(const std::string& id) {
  if (!id.starts_with(kOurs) || id[kOurs.size() + kSlotDigits] != '8') return -1;
  int64_t slot = 0;
  for (size_t i = 0; i < kSlotDigits; ++i) {
    const char c = id[kOurs.size() + i];
    slot = slot * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return slot;
}

int64_t lowest_free_slot(const PoolState& state) {
  std::vector<int64_t> used;
  for (const Slot& slot : state) used.push_back(slot_of(slot.id));
  std::sort(used.begin(), used.end());
  int64_t lowest = 0;
  for (const int64_t slot : used) {
    if (slot == lowest) ++lowest;
  }
  return lowest;
}

double wall_clock() {
  return static_cast<double>(util::realtime_us()) / 1e6;
}

void drop_expired(PoolState& state) {
  std::erase_if(state, [now = wall_clock()](const Slot& slot) { return now > slot.ends; });
}

using Value = std::optional<std::string>;  // nullopt: there is none

Value read_value(redis::Client& client, const std::string& name, const redis::Limit& limit) {
  redis::Reply reply = client.command({"GET", name}, limit);
  if (reply.type == redis::Reply::Type::nil) return std::nullopt;
  reply.string();
  return std::move(reply.text);
}

PoolState understood(const Value& value, const std::string& name) {
  if (!value) return {};
  try {
    return parse_pool(*value);
  } catch (const Damaged& damaged) {
    throw StoreError("the state of the pool, '" + name + "', is damaged, and was left as it is: " +
                     damaged.what() + "; delete it when nobody uses the pool");
  }
}

std::string written(const PoolState& state, const std::string& key) {
  std::string value = pickled(state);
  if (value.size() > kMostBytes) {
    throw StoreError("the pool '" + key + "' has too many slots in use, " +
                     std::to_string(state.size()));
  }
  return value;
}

struct Names {
  const std::string& state;
  const std::string& guard;
};
enum class Swapped { done, guarded, changed };

redis::Command swap_command(const Names& names, const Value& from, const Value& to) {
  return {"EVAL", kSwap, "2", names.state, names.guard, from.value_or(""), to.value_or("")};
}

// `changed`: `from` is then what is there now.
Swapped swap(redis::Client& client, const Names& names, Value& from, const std::string& to,
             const redis::Limit& limit) {
  const redis::Reply reply = client.command(swap_command(names, from, to), limit);
  const std::string& answer = reply.at(0).string();
  if (answer == "DONE") return Swapped::done;
  if (answer == "GUARDED") return Swapped::guarded;
  const redis::Reply& now = reply.at(1);
  from.reset();
  if (now.type != redis::Reply::Type::nil) from = now.string();
  return Swapped::changed;
}

}  // namespace

PoolBook::PoolBook(const std::string& prefix, const Claim& claim, util::Duration lease)
    : Book(claim, claim.expiry.value_or(lease)),
      name_(state_name(prefix, claim.key)),
      guard_(guard_name(prefix, claim.key)) {
  rename();
}

void PoolBook::rename() {
  for (uint64_t& number : random_) number = redis::random_number();
}

bool PoolBook::is_mine(const std::string& id) const {
  return id == id_ || std::find(doubtful_.begin(), doubtful_.end(), id) != doubtful_.end();
}

bool PoolBook::is_shed(int64_t used) const {
  if (!claim_.shed_at) return false;
  const ShedAt& shed = *claim_.shed_at;
  const double from = shed.percent ? *shed.percent / 100.0 * static_cast<double>(claim_.max)
                                   : static_cast<double>(shed.slots);
  return static_cast<double>(used) >= from;
}

double PoolBook::end_from_now() const {
  return wall_clock() + std::chrono::duration<double>(lease_).count();
}

Book::Taken PoolBook::take(redis::Client& client, const redis::Limit& limit) {
  Value value = read_value(client, name_, limit);
  for (int tries = 0; tries < kMostTries; ++tries) {
    PoolState state = understood(value, name_);
    drop_expired(state);
    std::erase_if(state, [this](const Slot& slot) { return is_mine(slot.id); });
    used_ = static_cast<int64_t>(state.size());
    if (is_shed(used_)) return Taken::shed;
    if (used_ >= claim_.max) return Taken::full;
    slot_ = lowest_free_slot(state);
    id_ = make_id(slot_, random_);
    confirmed_at_ = util::boottime_ns();
    state.push_back({id_, end_from_now()});
    const std::string to = written(state, claim_.key);
    client.undo_with(swap_command({name_, guard_}, to, value));
    const bool doubted = std::exchange(in_doubt_, true);
    const Swapped swapped = swap(client, {name_, guard_}, value, to, limit);
    client.forget_undo();
    if (swapped == Swapped::done) return Taken::ours;
    in_doubt_ = doubted;
    if (swapped == Swapped::guarded) return Taken::guarded;
  }
  return Taken::guarded;
}

Book::Kept PoolBook::keep(redis::Client& client, bool overdue, const redis::Limit& limit) {
  Value value = read_value(client, name_, limit);
  for (int tries = 0; tries < kMostTries; ++tries) {
    PoolState state = understood(value, name_);
    const int64_t now = util::boottime_ns();
    const auto mine = std::find_if(state.begin(), state.end(),
                                   [this](const Slot& slot) { return slot.id == id_; });
    const bool there = mine != state.end();
    if (there) {
      mine->ends = end_from_now();
    } else {
      if (client.command({"DEL", note_name(name_, id_)}, limit).number() == 1) {
        return Kept::released;
      }
      drop_expired(state);
      // Not overdue: nobody had the right to take it out, and COMMAND does run.
      if (overdue && static_cast<int64_t>(state.size()) >= claim_.max) return Kept::lost;
      state.push_back({id_, end_from_now()});
    }
    const Swapped swapped = swap(client, {name_, guard_}, value, written(state, claim_.key), limit);
    if (swapped == Swapped::guarded) return Kept::guarded;
    if (swapped == Swapped::changed) continue;
    confirmed_at_ = now;
    return there ? Kept::kept : Kept::again;
  }
  return Kept::guarded;
}

bool PoolBook::free(redis::Client& client, const redis::Limit& limit) {
  Value value = read_value(client, name_, limit);
  for (int tries = 1;; ++tries) {
    PoolState state = understood(value, name_);
    const size_t given_back =
        std::erase_if(state, [this](const Slot& slot) { return is_mine(slot.id); });
    if (given_back == 0) break;
    const Swapped swapped = swap(client, {name_, guard_}, value, written(state, claim_.key), limit);
    if (swapped == Swapped::guarded) return false;
    if (swapped == Swapped::done) break;
    if (tries == kMostTries) return false;
  }
  in_doubt_ = false;
  doubtful_.clear();
  return true;
}

Grant PoolBook::grant() const {
  Grant grant;
  grant.id = id_;
  grant.slot = slot_;
  grant.max = claim_.max;
  return grant;
}

int64_t PoolBook::size(redis::Client& client, const std::string& prefix, const std::string& key,
                       const redis::Limit& limit) {
  const std::string name = state_name(prefix, key);
  PoolState state = understood(read_value(client, name, limit), name);
  drop_expired(state);
  return static_cast<int64_t>(state.size());
}

std::optional<int64_t> PoolBook::give_back(redis::Client& client, const std::string& prefix,
                                           const std::string& key,
                                           const std::optional<std::string>& id,
                                           const redis::Limit& limit) {
  const std::string name = state_name(prefix, key);
  const std::string guard = guard_name(prefix, key);
  Value value = read_value(client, name, limit);
  while (true) {
    PoolState state = understood(value, name);
    drop_expired(state);
    const auto gone = std::stable_partition(state.begin(), state.end(),
                                            [&](const Slot& slot) { return id && slot.id != *id; });
    const int64_t count = state.end() - gone;
    if (count == 0) return 0;
    // Before they are gone, or a holder could look in between. It does before its slot would end.
    for (auto slot = gone; slot != state.end(); ++slot) {
      if (slot_of(slot->id) < 0) continue;
      const double left = std::clamp(slot->ends - wall_clock() + 60, 60.0, 1e6);
      client.command(
          {"SET", note_name(name, slot->id), "", "EX", std::to_string(static_cast<int64_t>(left))},
          limit);
    }
    state.erase(gone, state.end());
    const Swapped swapped = swap(client, {name, guard}, value, written(state, key), limit);
    if (swapped == Swapped::guarded) return std::nullopt;
    if (swapped == Swapped::done) return count;
  }
}

}  // namespace cachify::store::pycachify

#include <algorithm>
#include <cstdlib>

#include "errors.h"
#include "store/pycachify/book.h"
#include "store/redis/random.h"
#include "util/process.h"

namespace cachify::store::pycachify {

namespace {

// KEYS: the lock. ARGV: our value, ms, values of ours that an earlier call may have left.
constexpr const char* kTake = R"lua(
local held = redis.call('GET', KEYS[1])
if held then
  local ours = false
  for i = 3, #ARGV do ours = ours or held == ARGV[i] end
  if not ours then return {'HELD', held} end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'OURS'})lua";

// KEYS: the lock, the note that it was given back in our place. ARGV: our value, ms.
constexpr const char* kKeep = R"lua(
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 'KEPT'
end
if redis.call('DEL', KEYS[2]) == 1 then return 'RELEASED' end
if held then return 'LOST' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'AGAIN')lua";

// KEYS: the lock. ARGV: values of ours.
constexpr const char* kFree = R"lua(
local held = redis.call('GET', KEYS[1])
for i = 1, #ARGV do
  if held == ARGV[i] then return redis.call('DEL', KEYS[1]) end
end
return 0)lua";

// KEYS: the lock, the note for its holder. ARGV: the value that is to go, 1 to leave the note.
// The holder looks before the lock would have ended, unless it is cut off.
constexpr const char* kGiveBack = R"lua(
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('PTTL', KEYS[1])
redis.call('DEL', KEYS[1])
if ARGV[2] == '1' and left > 0 then redis.call('SET', KEYS[2], '', 'PX', left + 60000) end
return 1)lua";

LockValue understood(const std::string& value, const std::string& name) {
  try {
    return parse_lock(value);
  } catch (const Damaged& damaged) {
    throw StoreError("the value of the lock '" + name +
                     "' is nothing that py-cachify writes, and was left as it is: " +
                     damaged.what() + "; delete it when nobody uses the lock");
  }
}

std::string milliseconds_text(util::Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return std::to_string(std::max<int64_t>(ms, 1));
}

}  // namespace

LockBook::LockBook(const std::string& prefix, const Claim& claim, util::Duration lease)
    : Book(claim, claim.expiry.value_or(lease)), name_(lock_name(prefix, claim.key)) {
  owner_.has_end = claim.expiry.has_value();
  owner_.who.pid = claim.who.pid;
  owner_.who.host = claim.who.host;
  owner_.pid_namespace = util::pid_namespace();
  rename();
}

void LockBook::rename() {
  owner_.id = redis::random_hex() + redis::random_hex();
  value_ = pickled(owner_);
}

redis::Command LockBook::free_command() const {
  redis::Command command{"EVAL", kFree, "1", name_, value_};
  command.insert(command.end(), doubtful_.begin(), doubtful_.end());
  return command;
}

Book::Taken LockBook::take(redis::Client& client, const redis::Limit& limit) {
  redis::Command command{"EVAL", kTake, "1", name_, value_, milliseconds_text(lease_)};
  command.insert(command.end(), doubtful_.begin(), doubtful_.end());
  client.undo_with(free_command());
  in_doubt_ = true;
  confirmed_at_ = util::boottime_ns();
  const redis::Reply reply = client.command(command, limit);
  client.forget_undo();
  if (reply.at(0).string() == "OURS") return Taken::ours;
  in_doubt_ = false;
  doubtful_.clear();
  used_ = 1;
  return held_above(reply.at(1).string()) ? Taken::held_above : Taken::full;
}

// Whether an ancestor of this process holds the lock without an end.
bool LockBook::held_above(const std::string& value) const {
  const std::optional<Owner> owner = understood(value, name_).owner;
  if (!owner || owner->has_end) return false;
  const char* inherited_id = std::getenv("CACHIFY_ID");
  if (inherited_id != nullptr && owner->id == inherited_id) return true;
  if (owner->pid_namespace != owner_.pid_namespace || owner->who.host != owner_.who.host) {
    return false;
  }
  const std::vector<pid_t> above = util::ancestors();
  return std::find(above.begin(), above.end(), owner->who.pid) != above.end();
}

Book::Kept LockBook::keep(redis::Client& client, bool /*overdue*/, const redis::Limit& limit) {
  const int64_t now = util::boottime_ns();
  const redis::Reply reply = client.command(
      {"EVAL", kKeep, "2", name_, note_name(name_, owner_.id), value_, milliseconds_text(lease_)},
      limit);
  const std::string& answer = reply.string();
  if (answer == "RELEASED") return Kept::released;
  if (answer == "LOST") return Kept::lost;
  confirmed_at_ = now;
  return answer == "AGAIN" ? Kept::again : Kept::kept;
}

bool LockBook::free(redis::Client& client, const redis::Limit& limit) {
  client.command(free_command(), limit);
  in_doubt_ = false;
  doubtful_.clear();
  return true;
}

Grant LockBook::grant() const {
  Grant grant;
  grant.id = owner_.id;
  return grant;
}

int64_t LockBook::size(redis::Client& client, const std::string& prefix, const std::string& key,
                       const redis::Limit& limit) {
  const std::string name = lock_name(prefix, key);
  const redis::Reply reply = client.command({"GET", name}, limit);
  if (reply.type == redis::Reply::Type::nil) return 0;
  return understood(reply.string(), name).held ? 1 : 0;
}

int64_t LockBook::give_back(redis::Client& client, const std::string& prefix,
                            const std::string& key, const std::optional<std::string>& id,
                            const redis::Limit& limit) {
  const std::string name = lock_name(prefix, key);
  while (true) {
    const redis::Reply reply = client.command({"GET", name}, limit);
    if (reply.type == redis::Reply::Type::nil) return 0;
    const std::string& value = reply.string();
    const std::optional<Owner> owner = understood(value, name).owner;
    if (id && (!owner || owner->id != *id)) return 0;
    const bool leave_note = owner && !owner->has_end;
    const redis::Reply gone =
        client.command({"EVAL", kGiveBack, "2", name, note_name(name, owner ? owner->id : ""),
                        value, leave_note ? "1" : "0"},
                       limit);
    if (gone.number() == 1) return 1;
  }
}

}  // namespace cachify::store::pycachify

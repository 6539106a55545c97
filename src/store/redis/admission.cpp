#include "store/redis/admission.h"

#include <poll.h>

#include <algorithm>
#include <array>

#include "errors.h"
#include "quick/handover.h"
#include "store/inherited.h"
#include "store/redis/failure.h"
#include "store/redis/lease.h"
#include "store/redis/random.h"
#include "store/redis/retries.h"
#include "store/redis/server_error.h"
#include "util/parse.h"
#include "util/process.h"

namespace cachify::store::redis {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The first few in the queue look themselves whether a lease has run out, as nobody else tells
// them. Those behind only say that they are alive, ask how far they have come, and whether those in
// front do look: they can all have died.
constexpr int64_t kWatchful = 4;
constexpr util::Duration kWatchfulLook = seconds(5);
constexpr seconds kMissed(6);  // somebody watchful would have noticed until then
constexpr int64_t kNear = 16;
constexpr util::Duration kNearHeartbeat = seconds(10);
constexpr util::Duration kHeartbeat = seconds(60);
// Who could go on but for others in front of it looks whether they live.
constexpr util::Duration kLookAhead = seconds(2);
constexpr int64_t kAliveUs = 150'000'000;  // as ALIVE in scripts/common.lua

// A pushed grant that was read later than this is asked for, not relied on: it ends 5 s after it
// was made, and after a loss of data nobody else is let in for longer than this.
constexpr util::Duration kFresh = milliseconds(500);

constexpr int64_t kHeaviest = 65536;  // a script must not keep the server busy for long
constexpr int kMostTries = 100;
constexpr util::Duration kLastAnswer = milliseconds(500);

}  // namespace

Admission::Admission(const Address& address, const Books& books, const Claim& claim,
                     const Patience& patience, run::Interrupts& interrupts, WaitObserver& observer)
    : address_(address),
      books_(books),
      claim_(claim),
      patience_(patience),
      interrupts_(interrupts),
      observer_(observer),
      id_(quick::handover.asked ? quick::handover.id : random_id()),
      started_(util::monotonic_now()),
      client_(std::make_unique<Client>(address)),
      side_(std::make_unique<Client>(address)) {
  if (claim.weight > kHeaviest) {
    throw UsageError("--weight can be at most " + std::to_string(kHeaviest) + " on Redis");
  }
  // So that who looks can see that we are still there.
  if (patience.wait) client_->set_name(name_of_client(id_));
  client_->undo_with(kFree, books_.keys(), books_.free_arguments(id_));
}

Limit Admission::limit() const {
  return {patience_.deadline.value_or(kNever), &interrupts_, &observer_};
}

// For one request of who is queued: an answer that is on its way when the patience ends counts.
Limit Admission::request_limit() const {
  const Limit limit = this->limit();
  return {std::max(limit.until, util::monotonic_now() + kLastAnswer), &interrupts_, &observer_};
}

Acquisition Admission::run() {
  std::optional<Outcome> outcome;
  try {
    outcome = arrive();
    while (!outcome) outcome = wait();
    // Whoever does not answer now has perhaps not been heard of for long: that is not "full".
    if (outcome == Outcome::timed_out) leave("timed_out");
    if (outcome == Outcome::held_above) leave("rejected");
  } catch (const Interrupted&) {
    outcome = Outcome::interrupted;
  } catch (const Failure& failure) {
    leave_quietly();
    give_up(address_, failure);
  } catch (...) {
    leave_quietly();
    throw;
  }
  // (Not when the quick start has let COMMAND run: then the signal is for that.)
  if (outcome == Outcome::admitted && interrupts_.caught() && !quick::handover.started) {
    outcome = Outcome::interrupted;
  }
  if (outcome != Outcome::admitted) {
    give_back();
    leave_quietly();
  }
  Acquisition result;
  result.outcome = *outcome;
  result.max = cap_;
  result.lease = std::move(lease_);
  result.waited = util::monotonic_now() - started_;
  return result;
}

TakeAnswer Admission::take(Client& client, bool listen, const Limit& limit) {
  in_doubt_ = true;
  asked_at_ns_ = quick::handover.asked ? quick::handover.asked_at_ns : util::boottime_ns();
  const TakeAnswer answer =
      books_.take(client, claim_, id_, place_, address_.lease, patience_.wait, listen, limit);
  cap_ = answer.cap;
  in_doubt_ = answer.kind == TakeAnswer::Kind::ok || answer.kind == TakeAnswer::Kind::wait;
  if (answer.kind == TakeAnswer::Kind::wait) {
    place_ = {answer.order, answer.epoch};
    rank_ = answer.rank;
    server_ahead_us_ = answer.server_now_us - asked_at_ns_ / 1000;
    schedule_look(answer);
  }
  return answer;
}

std::optional<Outcome> Admission::arrive() {
  // Not the deadline: a caller with little patience does not call a store silent that is only slow.
  Retries retries(address_, Retries::Mode::first, {kNever, &interrupts_, &observer_});
  for (int tries = 0;; ++tries) {
    try {
      const TakeAnswer answer = take(*client_, patience_.wait, retries.limit());
      asleep_ = answer.kind == TakeAnswer::Kind::wait;
      settle(asleep_ ? *side_ : *client_, answer.pending);
      // What was given to the dead is perhaps there for us.
      if (answer.kind == TakeAnswer::Kind::full && settled_ > 0 && tries < kMostTries) continue;
      const int64_t buried = clear_the_way(answer);
      if (buried > 0 && !asleep_ && tries < kMostTries) continue;
      if (!answer.counted) count_refusal();
      const bool queued = asleep_;
      auto outcome = follow(answer, client_);
      if (queued && !outcome) {
        if (held_above(answer, buried == 0)) return Outcome::held_above;
        if (buried > 0) look_above_ = true;
        if (look_above_) next_look_ = util::monotonic_now();
        if (const auto after = observer_.explain_after()) explain_at_ = started_ + *after;
      }
      return outcome;
    } catch (const Failure& failure) {
      retries.after(failure);
    }
  }
}

std::optional<Outcome> Admission::follow(const TakeAnswer& answer,
                                         std::unique_ptr<Client>& client) {
  using Kind = TakeAnswer::Kind;
  switch (answer.kind) {
    case Kind::ok:
      return admit(answer, client);
    case Kind::wait:
      return std::nullopt;
    case Kind::full:
      return held_above(answer, true) ? Outcome::held_above : Outcome::full;
    case Kind::queue_full:
      return held_above(answer, true) ? Outcome::held_above : Outcome::queue_full;
    case Kind::data_lost:
      throw StoreError("the server has lost data, and who holds '" + claim_.key +
                       "' is only being found out; try again in a moment, or wait");
    case Kind::shed:
      return Outcome::shed;
    case Kind::closed:
      return Outcome::closed;
    case Kind::dismissed:
      return Outcome::dismissed;
    case Kind::no_cap:
      throw UsageError("--max is needed: the pool '" + claim_.key + "' has no stored cap");
    case Kind::too_heavy:
      break;
  }
  throw UsageError("--weight " + std::to_string(claim_.weight) + " is more than the slots of '" +
                   claim_.key + "' (max=" + std::to_string(answer.cap) + ")");
}

// Whether an ancestor of this process holds the lock without an end, and so it can never be had. A
// reader below a reader is kept out by the queue alone: a writer in it, if it is alive, waits for
// that ancestor, as we would wait for the writer.
bool Admission::held_above(const TakeAnswer& answer, bool queue_lives) const {
  if (claim_.kind != Kind::lock || answer.holders.empty()) return false;
  std::vector<pid_t> above;
  const uint64_t here = util::pid_namespace();
  for (const LockHolder& holder : answer.holders) {
    if (claim_.shared && holder.shared && !(answer.behind && queue_lives)) continue;
    if (holder.pid_namespace != here || holder.who.host != claim_.who.host) {
      // It cannot be seen from here, but we have the mark of its command.
      if (is_inherited(holder.id)) return true;
      continue;
    }
    // The process table tells: a daemon that left the holder's command has other ancestors.
    if (above.empty()) above = util::ancestors();
    if (std::find(above.begin(), above.end(), holder.who.pid) != above.end()) return true;
  }
  return false;
}

Outcome Admission::admit(const TakeAnswer& answer, std::unique_ptr<Client>& client) {
  client->forget_undo();
  if (address_.wait_replicas > 0) check_replicas(*client);
  Grant grant;
  grant.id = id_;
  grant.fence = answer.fence;
  grant.slot = answer.slot;
  grant.max = answer.cap;
  lease_ = std::make_unique<RedisLease>(address_, books_, std::move(client), claim_, grant,
                                        answer.epoch, answer.record, asked_at_ns_);
  return Outcome::admitted;
}

// WAIT does not undo the admission: we do, on any exception.
void Admission::check_replicas(Client& client) {
  const Reply reply = client.command({"WAIT", std::to_string(address_.wait_replicas), "1000"},
                                     request_limit().within(kCommandTimeout));
  if (reply.number() >= address_.wait_replicas) return;
  throw StoreError("the store '" + address_.shown + "' cannot be used: only " +
                   std::to_string(reply.number()) + " of " +
                   std::to_string(address_.wait_replicas) + " replicas have the slot");
}

void Admission::settle(Client& client, const std::vector<std::string>& pending) {
  settled_ = 0;
  if (pending.empty()) return;
  settled_ = books_.settle(client, pending, request_limit().within(kCommandTimeout));
  if (&client == side_.get()) side_->disconnect();
}

// Nobody is granted anything over the head of the queue, so one who is dead and would not fit holds
// up those behind until it is missed. How many were dead; what became free is then granted.
int64_t Admission::clear_the_way(const TakeAnswer& answer) {
  if (!answer.behind) return 0;
  int64_t dead = 0;
  try {
    const Limit limit = request_limit().within(kCommandTimeout);
    dead = books_.bury_dead(*side_, books_.look(*side_, limit).situation, limit);
  } catch (const Failure&) {
    // The next look will tell.
  }
  side_->disconnect();
  return dead;
}

// A refusal that the server has left to us to count, as we might have asked again.
void Admission::count_refusal() {
  try {
    books_.free(*side_, id_, request_limit().within(kCommandTimeout), "rejected");
  } catch (const Failure&) {
    // It stands all the same.
  }
  side_->disconnect();
}

void Admission::schedule_look(const TakeAnswer& answer) {
  const util::MonotonicTime now = util::monotonic_now();
  util::Duration look = answer.rank < kNear ? kNearHeartbeat : kHeartbeat;
  if (answer.rank < kWatchful) {
    look = answer.behind ? kLookAhead : kWatchfulLook;
    // A moment later, so that the server's clock agrees.
    if (answer.first_end)
      look = std::min<util::Duration>(look, *answer.first_end + milliseconds(2));
  }
  // Not all at the same time.
  if (look == kWatchfulLook || look == kNearHeartbeat || look == kHeartbeat || look == kLookAhead) {
    look = look / 100 * static_cast<int64_t>(90 + random_number() % 20);
  }
  next_look_ = now + look;
}

std::optional<Outcome> Admission::wait() {
  if (!observer_.go_on()) return Outcome::interrupted;
  explain_when_due();
  if (!asleep_) {
    queue_again();
    if (decided_) return decided_;
  }
  try {
    sleep_on_list();
    if (decided_) return decided_;
    const util::MonotonicTime now = util::monotonic_now();
    if (patience_.deadline && now >= *patience_.deadline) return Outcome::timed_out;
    if (now >= next_look_) look_around();
    if (decided_) return decided_;
  } catch (const Failure& failure) {
    if (failure.is_final()) throw;
    observer_.note(std::string("the store does not answer; trying again: ") + failure.what());
    client_->disconnect();
    side_->disconnect();
    asleep_ = false;
  }
  return std::nullopt;
}

// Until woken, or until there is something to do.
void Admission::sleep_on_list() {
  util::MonotonicTime until = std::min(limit().until, next_look_);
  if (explain_at_) until = std::min(until, *explain_at_);
  if (const auto look = observer_.next_look()) {
    until = std::min(until, util::monotonic_now() + util::Duration(*look - util::boottime_ns()));
  }
  Connection& connection = *client_->connection();
  // Who was woken at once has read that together with the answer that queued it: the descriptor
  // has nothing more to tell.
  std::optional<Reply> woken = connection.try_receive();
  if (!woken) {
    if (!wait_for(connection.fd(), POLLIN, {until, &interrupts_, &observer_}, observer_.look_fd(),
                  false))
      return;
    woken = connection.try_receive();
  }
  if (!woken) return;  // not all of it is there yet
  asleep_ = false;
  if (woken->is_error()) client_->fail(*woken);
  if ((decided_ = rely_on(*woken))) return;
  const TakeAnswer answer = take(*client_, false, request_limit());
  if ((decided_ = follow(answer, client_))) return;
  // For nothing: whoever pushed thought that we were dead, or data was lost.
  connection.send(books_.listening(id_));
  connection.flush(request_limit().within(kCommandTimeout));
  asleep_ = true;
  settle(*side_, answer.pending);
  clear_the_way(answer);
}

// A grant that came with the wake-up needs no answer to begin with. It is a lease of few seconds,
// and its first renewal is on the way before COMMAND can start: whatever becomes of us, the server
// hears of that, or --on-lost acts before the slot is given to somebody else.
std::optional<Outcome> Admission::rely_on(const Reply& woken) {
  const auto grant = books_.pushed_grant(woken, id_);
  if (!grant || grant->epoch != place_.epoch || address_.wait_replicas > 0) return std::nullopt;
  // Not later than it was: the server said what time it was after we had asked.
  const int64_t granted_at_ns = (grant->at_us - server_ahead_us_) * 1000;
  const int64_t now_ns = util::boottime_ns();
  if (now_ns < granted_at_ns || now_ns - granted_at_ns > kFresh.count()) return std::nullopt;
  books_.send_keep(*client_, id_, grant->epoch, address_.lease, grant->record, request_limit());
  client_->forget_undo();
  cap_ = grant->cap;
  Grant ours;
  ours.id = id_;
  ours.fence = grant->fence;
  ours.slot = grant->slot;
  ours.max = grant->cap;
  lease_ = std::make_unique<RedisLease>(address_, books_, std::move(client_), claim_, ours,
                                        grant->epoch, grant->record, granted_at_ns,
                                        RedisLease::Unconfirmed{grant->lease, now_ns});
  return Outcome::admitted;
}

// Whether nobody holds anything, or a lease ended a while ago, and those in front did nothing.
bool Admission::nobody_looks(int64_t server_now_us) {
  const Reply first =
      side_->command({"ZRANGE", books_.keys().holders(), "0", "0", "WITHSCORES"}, request_limit());
  if (first.type == Reply::Type::array && first.elements.empty()) return true;
  const auto end_us = util::parse_integer(first.at(1).string(), 0, server_now_us);
  constexpr int64_t kMissedUs = std::chrono::microseconds(kMissed).count();
  return end_us && *end_us + kMissedUs < server_now_us;
}

// The heartbeat, while client_ goes on sleeping.
void Admission::look_around() {
  if (rank_ >= kWatchful && !look_above_) {
    const int64_t server_now_us = util::boottime_ns() / 1000 + server_ahead_us_;
    const Reply beat = side_->command(
        {"ZADD", books_.keys().alive(), "XX", "CH", std::to_string(server_now_us + kAliveUs), id_},
        request_limit());
    const Reply rank = side_->command({"ZRANK", books_.keys().queue(), id_}, request_limit());
    if (beat.number() == 1 && rank.type == Reply::Type::integer && rank.integer >= kWatchful &&
        !nobody_looks(server_now_us)) {
      rank_ = rank.integer;
      side_->disconnect();
      TakeAnswer same;
      same.rank = rank_;
      schedule_look(same);
      return;
    }
  }
  const TakeAnswer answer = take(*side_, false, request_limit());
  if ((decided_ = follow(answer, side_))) return;
  settle(*side_, answer.pending);
  const int64_t buried = clear_the_way(answer);
  side_->disconnect();
  if (!look_above_) return;
  look_above_ = buried > 0;
  if (look_above_) {
    next_look_ = util::monotonic_now();
  } else if (held_above(answer, true)) {
    decided_ = Outcome::held_above;
  }
}

// After an outage: the old place, on a new connection, as long as it takes.
void Admission::queue_again() {
  Retries retries(address_, Retries::Mode::queued, limit());
  while (true) {
    try {
      const TakeAnswer answer = take(*client_, true, request_limit());
      if ((decided_ = follow(answer, client_))) return;
      asleep_ = true;
      settle(*side_, answer.pending);
      clear_the_way(answer);
      return;
    } catch (const Failure& failure) {
      client_->disconnect();
      side_->disconnect();
      asleep_ = false;
      retries.after(failure);
    }
  }
}

void Admission::explain_when_due() {
  if (!explain_at_ || util::monotonic_now() < *explain_at_) return;
  explain_at_.reset();
  try {
    const Situation situation = books_.look(*side_, request_limit()).situation;
    side_->disconnect();
    const auto me = std::find_if(situation.waiters.begin(), situation.waiters.end(),
                                 [this](const WaiterInfo& w) { return w.id == id_; });
    observer_.waiting(situation, me == situation.waiters.end() ? 0 : me->position);
  } catch (const Failure&) {
    // Only words; what is wrong shows where it matters.
  }
}

// Behind its first renewal, if that is under way: done after the slot was given back, it would take
// the slot again.
void Admission::give_back() noexcept {
  if (!lease_) return;
  try {
    lease_->release();
    in_doubt_ = false;
  } catch (const std::exception&) {
    // It ends with its lease.
  }
  lease_.reset();
}

// What stays ends with its lease, or when it is not heard of.
void Admission::leave(const char* why) {
  if (!in_doubt_) return;
  in_doubt_ = false;
  // No signals: the one that asks us to stop has come already.
  const Limit brief{util::monotonic_now() + kLastAnswer, nullptr};
  Client client(address_);
  books_.settle(client, books_.free(client, id_, brief, why), brief);
}

void Admission::leave_quietly() noexcept {
  try {
    leave("");
  } catch (...) {
  }
}

}  // namespace cachify::store::redis

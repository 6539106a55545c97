#include "store/redis/books.h"

#include <array>
#include <charconv>

#include "store/redis/failure.h"
#include "store/redis/record.h"
#include "store/redis/server_error.h"
#include "util/process.h"

namespace cachify::store::redis {

namespace {

using std::chrono::microseconds;

// Rounds up: nothing ends before its time, and what is more than nothing stays that.
std::string microseconds_text(util::Duration duration) {
  return std::to_string((duration.count() + 999) / 1000);
}

const char* text_of(const std::optional<Replace>& replace) {
  if (!replace) return "";
  if (replace->running) return replace->waiting ? "both" : "running";
  return replace->waiting ? "waiting" : "";
}

struct KindName {
  std::string_view name;
  TakeAnswer::Kind kind;
};
constexpr std::array<KindName, 10> kKinds = {{{"OK", TakeAnswer::Kind::ok},
                                              {"WAIT", TakeAnswer::Kind::wait},
                                              {"FULL", TakeAnswer::Kind::full},
                                              {"QUEUE", TakeAnswer::Kind::queue_full},
                                              {"LOST", TakeAnswer::Kind::data_lost},
                                              {"SHED", TakeAnswer::Kind::shed},
                                              {"CLOSED", TakeAnswer::Kind::closed},
                                              {"DISMISSED", TakeAnswer::Kind::dismissed},
                                              {"NOCAP", TakeAnswer::Kind::no_cap},
                                              {"WEIGHT", TakeAnswer::Kind::too_heavy}}};

std::vector<LockHolder> holders_of(const Reply& reply) {
  std::vector<LockHolder> holders;
  for (const Reply& element : reply.elements) {
    const WhoRecord who = parse_who(element.at(2).string());
    holders.push_back(
        {element.at(0).string(), element.at(1).number() == 1, who.who, who.pid_namespace});
  }
  return holders;
}

TakeAnswer take_answer(const Reply& reply) {
  TakeAnswer answer;
  const std::string& name = reply.at(0).string();
  bool known = false;
  for (const KindName& row : kKinds) {
    if (row.name != name) continue;
    answer.kind = row.kind;
    known = true;
  }
  if (!known) not_understood(name);
  const Reply& parts = reply.at(1);
  if (answer.kind == TakeAnswer::Kind::ok) {
    answer.fence = static_cast<uint64_t>(parts.at(0).number());
    answer.slot = parts.at(1).number();
    answer.cap = parts.at(2).number();
    answer.epoch = parts.at(3).string();
    answer.record = parts.at(4).string();
  } else if (answer.kind == TakeAnswer::Kind::wait) {
    answer.order = parts.at(0).string();
    answer.rank = parts.at(1).number();
    if (parts.at(2).number() >= 0) answer.first_end = microseconds(parts.at(2).number());
    answer.cap = parts.at(3).number();
    answer.server_now_us = parts.at(4).number();
    answer.epoch = parts.at(5).string();
    answer.behind = parts.at(6).number() == 1;
  } else {
    answer.cap = parts.at(0).number();
    answer.behind = parts.at(1).number() == 1;
    answer.counted = parts.at(2).number() == 1;
  }
  answer.pending = texts_in(reply.at(2));
  if (answer.kind != TakeAnswer::Kind::ok) answer.holders = holders_of(reply.at(3));
  return answer;
}

}  // namespace

TakeAnswer Books::take(Client& client, const Claim& claim, const std::string& id,
                       const Place& place, util::Duration lease, bool wait, bool listen,
                       const Limit& limit) const {
  std::string shed_slots = "-1";
  std::string shed_percent = "-1";
  if (claim.shed_at && claim.shed_at->percent) {
    // Not to_string, which knows six decimals only.
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                   *claim.shed_at->percent, std::chars_format::fixed);
    shed_percent.assign(digits.data(), end.ptr);
  } else if (claim.shed_at) {
    shed_slots = std::to_string(claim.shed_at->slots);
  }
  const std::vector<std::string> arguments = {
      kind_text(kind_),
      id,
      place.epoch,
      place.order.empty() ? "0" : place.order,
      wait ? "1" : "0",
      listen ? "1" : "0",
      microseconds_text(lease),
      std::to_string(claim.priority),
      std::to_string(claim.weight),
      claim.shared ? "1" : "0",
      std::to_string(claim.max),
      claim.expiry ? microseconds_text(*claim.expiry) : "0",
      shed_slots,
      shed_percent,
      claim.queue_max ? std::to_string(*claim.queue_max) : "-1",
      text_of(claim.replace),
      claim.replace ? microseconds_text(claim.replace->kill_after) : "0",
      text_of(claim.who, util::pid_namespace()),
  };
  const Command behind = listen ? listening(id) : Command{};
  const Reply reply = client.request(kTake, keys_, arguments, limit, behind);
  const TakeAnswer answer = reading([&] { return take_answer(reply); });
  if (listen && answer.kind != TakeAnswer::Kind::wait) {
    static_cast<void>(client.connection()->receive(limit.within(kCommandTimeout)));
  }
  return answer;
}

Command Books::listening(const std::string& id) const {
  return {"BLPOP", keys_.wake_up(id), keys_.grant(id), "0"};
}

std::optional<PushedGrant> Books::pushed_grant(const Reply& woken, const std::string& id) const {
  if (woken.at(0).string() != keys_.grant(id)) return std::nullopt;
  return reading([&] {
    std::string_view text = woken.at(1).string();
    PushedGrant grant;
    grant.at_us = next_number<int64_t>(text);
    grant.lease = microseconds(next_number<int64_t>(text));
    grant.epoch = next_word(text);
    grant.cap = next_number<int64_t>(text);
    grant.record = text;
    const Record record = parse_record(text);
    grant.fence = record.fence;
    grant.slot = record.slot;
    return grant;
  });
}

void Books::damaged() const {
  throw_damaged(keys_.base);
}

void Books::send_keep(Client& client, const std::string& id, const std::string& epoch,
                      util::Duration lease, const std::string& record, const Limit& limit) const {
  client.send(kKeep, keys_, {kind_text(kind_), id, epoch, microseconds_text(lease), record}, limit);
}

KeepAnswer Books::keep_answer(const Reply& reply) {
  KeepAnswer answer;
  const std::string& name = reply.at(0).string();
  if (name == "KEPT") {
    answer.kind = KeepAnswer::Kind::kept;
  } else if (name == "AGAIN") {
    answer.kind = KeepAnswer::Kind::again;
  } else if (name == "LOST") {
    answer.kind = KeepAnswer::Kind::lost;
  } else if (name == "ENDED") {
    answer.kind = KeepAnswer::Kind::ended;
  } else {
    not_understood(name);
  }
  answer.epoch = reply.at(1).string();
  answer.mark = reply.at(2).string();
  return answer;
}

std::vector<std::string> Books::free_arguments(const std::string& id, const char* why) const {
  return {kind_text(kind_), id, why};
}

std::vector<std::string> Books::free(Client& client, const std::string& id, const Limit& limit,
                                     const char* why) const {
  const Reply reply = client.request(kFree, keys_, free_arguments(id, why), limit);
  if (reply.at(0).string() != "FREED") not_understood(reply.at(0).string());
  return texts_in(reply.at(2));
}

int64_t Books::settle(Client& client, std::vector<std::string> pending, const Limit& limit) const {
  int64_t dead = 0;
  while (!pending.empty() && !limit.passed()) {
    std::vector<std::string> arguments = {kind_text(kind_)};
    arguments.insert(arguments.end(), pending.begin(), pending.end());
    const Reply reply = client.request(kSettle, keys_, arguments, limit);
    if (reply.at(0).string() != "SETTLED") not_understood(reply.at(0).string());
    dead += reply.at(1).number();
    pending = texts_in(reply.at(2));
  }
  return dead;
}

void Books::send_map(Client& client, const std::string& id, const std::string& since,
                     util::Duration age, const MapFigures& figures, const Who& who,
                     const Limit& limit) const {
  client.send(kMap, keys_,
              {kind_text(kind_), id, since.empty() ? "0" : since, microseconds_text(age),
               redis::text_of(figures), redis::text_of(who, util::pid_namespace())},
              limit);
}

Books::MapAnswer Books::map_answer(const Reply& reply) {
  if (reply.at(0).string() != "MAP") not_understood(reply.at(0).string());
  return {reply.at(1).string(), reply.at(2).string(), reply.at(3).number()};
}

void Books::forget_map(Client& client, const std::string& id, const Limit& limit) const {
  map_answer(client.request(kMap, keys_, {kind_text(kind_), id, "0", "0", "", ""}, limit));
}

int64_t Books::size(Client& client, const Limit& limit) const {
  const Reply reply = client.request(kSize, keys_, {kind_text(kind_)}, limit);
  return reply.at(1).number();
}

}  // namespace cachify::store::redis

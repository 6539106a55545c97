#include "store/redis/books.h"

#include <array>
#include <charconv>

#include "store/redis/failure.h"
#include "store/redis/record.h"
#include "util/process.h"

namespace cachify::store::redis {

namespace {

using std::chrono::microseconds;

// Rounds up: nothing ends before its time, and what is more than nothing stays that.
std::string microseconds_text(util::Duration duration) {
  return std::to_string((duration.count() + 999) / 1000);
}

std::vector<std::string> texts_of(const Reply& reply) {
  std::vector<std::string> texts;
  for (const Reply& element : reply.elements) texts.push_back(element.string());
  return texts;
}

struct KindName {
  std::string_view name;
  TakeAnswer::Kind kind;
};
constexpr std::array<KindName, 9> kKinds = {{{"OK", TakeAnswer::Kind::ok},
                                             {"WAIT", TakeAnswer::Kind::wait},
                                             {"FULL", TakeAnswer::Kind::full},
                                             {"QUEUE", TakeAnswer::Kind::queue_full},
                                             {"LOST", TakeAnswer::Kind::data_lost},
                                             {"SHED", TakeAnswer::Kind::shed},
                                             {"CLOSED", TakeAnswer::Kind::closed},
                                             {"NOCAP", TakeAnswer::Kind::no_cap},
                                             {"WEIGHT", TakeAnswer::Kind::too_heavy}}};

[[noreturn]] void senseless(const std::string& text) {
  throw Failure(Failure::Kind::senseless, "the answer '" + text + "' is not understood");
}

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
  if (!known) senseless(name);
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
  } else {
    answer.cap = parts.at(0).number();
  }
  answer.pending = texts_of(reply.at(2));
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
      text_of(claim.who, util::pid_namespace()),
  };
  const Command listening = listen ? Command{"BLPOP", keys_.wake_up(id), "0"} : Command{};
  const TakeAnswer answer = take_answer(client.request(kTake, keys_, arguments, limit, listening));
  if (listen && answer.kind != TakeAnswer::Kind::wait) {
    static_cast<void>(client.connection()->receive(limit.within(kCommandTimeout)));
  }
  return answer;
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
    senseless(name);
  }
  answer.epoch = reply.at(1).string();
  return answer;
}

std::vector<std::string> Books::free_arguments(const std::string& id) const {
  return {kind_text(kind_), id};
}

std::vector<std::string> Books::free(Client& client, const std::string& id,
                                     const Limit& limit) const {
  const Reply reply = client.request(kFree, keys_, free_arguments(id), limit);
  if (reply.at(0).string() != "FREED") senseless(reply.at(0).string());
  return texts_of(reply.at(2));
}

int64_t Books::settle(Client& client, std::vector<std::string> pending, const Limit& limit) const {
  int64_t dead = 0;
  while (!pending.empty() && !limit.passed()) {
    std::vector<std::string> arguments = {kind_text(kind_)};
    arguments.insert(arguments.end(), pending.begin(), pending.end());
    const Reply reply = client.request(kSettle, keys_, arguments, limit);
    if (reply.at(0).string() != "SETTLED") senseless(reply.at(0).string());
    dead += reply.at(1).number();
    pending = texts_of(reply.at(2));
  }
  return dead;
}

int64_t Books::size(Client& client, const Limit& limit) const {
  const Reply reply = client.request(kSize, keys_, {kind_text(kind_)}, limit);
  return reply.at(1).number();
}

Situation Books::look(Client& client, const Limit& limit) const {
  const Reply reply = client.request(kLook, keys_, {kind_text(kind_)}, limit);
  Situation situation;
  if (reply.at(1).number() >= 0) situation.stored_max = reply.at(1).number();
  situation.closed = reply.at(2).number() == 1;
  const int64_t now_us = reply.at(3).number();
  for (const Reply& element : reply.at(4).elements) {
    const Record record = parse_record(element.at(2).string());
    HolderInfo holder;
    holder.id = element.at(0).string();
    holder.slot = record.slot;
    holder.weight = record.weight;
    holder.shared = record.shared;
    holder.fence = record.fence;
    holder.who = record.who.who;
    holder.since_us = record.since_us;
    if (record.hard_end_us != 0) {
      holder.expires_in_ms = (record.hard_end_us - now_us) / 1000;
    }
    situation.size += holder.weight;
    situation.holders.push_back(std::move(holder));
  }
  std::sort(situation.holders.begin(), situation.holders.end(),
            [](const HolderInfo& a, const HolderInfo& b) { return a.slot < b.slot; });
  for (const Reply& element : reply.at(5).elements) {
    const Record record = parse_record(element.at(2).string());
    WaiterInfo waiter;
    waiter.id = element.at(0).string();
    waiter.position = static_cast<int64_t>(situation.waiters.size()) + 1;
    waiter.priority = static_cast<int>(element.at(1).number());
    waiter.weight = record.weight;
    waiter.shared = record.shared;
    waiter.who = record.who.who;
    waiter.since_us = record.since_us;
    situation.waiters.push_back(std::move(waiter));
  }
  return situation;
}

}  // namespace cachify::store::redis

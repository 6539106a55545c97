// Looking at the books and changing them for others: the other half of Books.
#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>

#include "store/redis/books.h"
#include "store/redis/failure.h"
#include "store/redis/random.h"
#include "store/redis/record.h"

namespace cachify::store::redis {

namespace {

using std::chrono::microseconds;

void expect(const Reply& reply, const char* name) {
  if (reply.at(0).string() != name) not_understood(reply.at(0).string());
}

HolderInfo holder_of(const Reply& element, int64_t now_us) {
  const Record record = parse_record(element.at(2).string());
  HolderInfo holder;
  holder.id = element.at(0).string();
  holder.slot = record.slot;
  holder.weight = record.weight;
  holder.shared = record.shared;
  holder.fence = record.fence;
  holder.max = record.max;
  holder.ending = element.at(3).number() == 1;
  holder.who = record.who.who;
  holder.since_us = record.since_us;
  if (record.hard_end_us != 0) holder.expires_in_ms = (record.hard_end_us - now_us) / 1000;
  return holder;
}

WaiterInfo waiter_of(const Reply& element) {
  const Record record = parse_record(element.at(2).string());
  WaiterInfo waiter;
  waiter.id = element.at(0).string();
  waiter.priority = static_cast<int>(element.at(1).number());
  waiter.weight = record.weight;
  waiter.shared = record.shared;
  waiter.max = record.max;
  waiter.who = record.who.who;
  waiter.since_us = record.since_us;
  return waiter;
}

// Nothing depends on them: what is no map is left out.
std::vector<MapInfo> maps_in(const Reply& reply) {
  std::vector<MapInfo> maps;
  for (const std::string& text : texts_in(reply)) {
    try {
      maps.push_back(parse_map(text));
    } catch (const Failure&) {
      continue;
    }
  }
  std::sort(maps.begin(), maps.end(),
            [](const MapInfo& a, const MapInfo& b) { return a.since_us < b.since_us; });
  return maps;
}

Picture picture_in(const Reply& reply) {
  Picture picture;
  Situation& situation = picture.situation;
  if (reply.at(1).number() >= 0) situation.stored_max = reply.at(1).number();
  situation.closed = reply.at(2).number() == 1;
  const int64_t now_us = reply.at(3).number();
  for (const Reply& element : reply.at(4).elements) {
    situation.holders.push_back(holder_of(element, now_us));
    situation.size += situation.holders.back().weight;
  }
  std::sort(situation.holders.begin(), situation.holders.end(),
            [](const HolderInfo& a, const HolderInfo& b) { return a.slot < b.slot; });
  for (const Reply& element : reply.at(5).elements) {
    situation.waiters.push_back(waiter_of(element));
    situation.waiters.back().position = static_cast<int64_t>(situation.waiters.size());
  }
  if (reply.at(6).number() >= 0) picture.next_end = microseconds(reply.at(6).number());
  const Reply& counters = reply.at(7);
  situation.counters.admitted = counters.at(0).number();
  situation.counters.completed = counters.at(1).number();
  situation.counters.rejected = counters.at(2).number();
  situation.counters.timed_out = counters.at(3).number();
  situation.counters.dismissed = counters.at(4).number();
  situation.counters.expired = counters.at(5).number();
  situation.counters.waited_us = counters.at(6).number();
  situation.counters.longest_wait_us = counters.at(7).number();
  situation.created_us = reply.at(8).number();
  situation.maps = maps_in(reply.at(9));
  return picture;
}

// Who waits has a connection of this name. Empty when the server (or what stands before it) does
// not tell truly, which shows by our own.
std::set<std::string> named_clients(Connection& connection, const Limit& limit) {
  const std::string us = name_of_client(random_id());
  connection.send({"CLIENT", "SETNAME", us});
  connection.send({"CLIENT", "LIST", "TYPE", "normal"});
  connection.flush(limit);
  static_cast<void>(connection.receive(limit));
  const Reply list = connection.receive(limit);
  if (list.type != Reply::Type::string) return {};
  constexpr std::string_view kName = " name=";
  std::set<std::string> names;
  for (size_t at = list.text.find(kName); at != std::string::npos; at = list.text.find(kName, at)) {
    at += kName.size();
    names.insert(list.text.substr(at, list.text.find(' ', at) - at));
  }
  if (names.count(us) == 0) return {};
  return names;
}

}  // namespace

Mark parse_mark(const std::string& text) {
  Mark mark;
  std::string_view rest = text;
  mark.given_back = rest.starts_with('R');
  if (mark.given_back) rest.remove_prefix(1);
  mark.end_command = rest.starts_with('T');
  if (!mark.end_command || rest.size() < 3) return mark;
  rest.remove_prefix(2);
  int64_t us = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), us);
  if (error == std::errc() && end == rest.data() + rest.size()) {
    mark.kill_after =
        microseconds(std::clamp<int64_t>(us, 0, util::Duration::max().count() / 1000));
  }
  return mark;
}

std::string text_of(const Mark& mark) {
  std::string text = mark.given_back ? "R" : "";
  if (mark.end_command) text += "T";
  if (mark.kill_after) text += " " + std::to_string(mark.kill_after->count() / 1000);
  return text;
}

Picture Books::look(Client& client, const Limit& limit, const std::string& watcher) const {
  const Reply reply = client.request(kLook, keys_, {kind_text(kind_), watcher}, limit);
  expect(reply, "LOOK");
  return reading([&] { return picture_in(reply); });
}

int64_t Books::bury_dead(Client& client, const Situation& situation, const Limit& limit) const {
  if (situation.waiters.empty()) return 0;
  const Limit soon = limit.within(kCommandTimeout);
  const std::set<std::string> names = named_clients(*client.connection(), soon);
  if (names.empty()) return 0;
  std::vector<std::string> suspects;
  for (const WaiterInfo& waiter : situation.waiters) {
    if (names.count(name_of_client(waiter.id)) == 0) suspects.push_back(waiter.id);
  }
  if (suspects.empty()) return 0;
  std::vector<std::string> arguments = {kind_text(kind_)};
  arguments.insert(arguments.end(), suspects.begin(), suspects.end());
  expect(client.request(kProbe, keys_, arguments, limit), "PROBED");
  return settle(client, suspects, limit);
}

Picture Books::look_closely(Client& client, const Limit& limit, const std::string& watcher) const {
  Picture picture = look(client, limit, watcher);
  if (bury_dead(client, picture.situation, limit) > 0) picture = look(client, limit, watcher);
  return picture;
}

void Books::set(Client& client, const char* name, const std::string& value,
                const Limit& limit) const {
  const Reply reply = client.request(kSet, keys_, {kind_text(kind_), name, value}, limit);
  expect(reply, "SET");
  settle(client, texts_in(reply.at(1)), limit);
}

int64_t Books::dismiss(Client& client, const Limit& limit) const {
  bury_dead(client, look(client, limit).situation, limit);  // they are not dismissed
  const Reply reply = client.request(kDismiss, keys_, {kind_text(kind_)}, limit);
  expect(reply, "DISMISSED");
  settle(client, texts_in(reply.at(2)), limit);
  return reply.at(1).number();
}

std::vector<std::string> Books::end(Client& client, const std::optional<std::string>& id,
                                    const Mark& mark, const Limit& limit) const {
  const Reply reply =
      client.request(kEnd, keys_, {kind_text(kind_), id.value_or(""), text_of(mark)}, limit);
  expect(reply, "MARKED");
  settle(client, texts_in(reply.at(2)), limit);
  return texts_in(reply.at(1));
}

Books::Catalogue Books::catalogue(Client& client, bool settle_first, const Limit& limit) const {
  const Reply reply =
      client.request(kCatalogue, keys_, {kind_text(kind_), settle_first ? "1" : "0"}, limit);
  expect(reply, "CATALOGUE");
  Catalogue catalogue;
  catalogue.version = reply.at(1).string();
  catalogue.view.text = reply.at(2).string();
  for (const Reply& holder : reply.at(3).elements) {
    catalogue.view.live.push_back(
        {holder.at(0).string(), static_cast<uint64_t>(holder.at(1).number())});
  }
  catalogue.view.waiting = reply.at(4).number();
  catalogue.view.now_us = reply.at(5).number();
  if (reply.at(6).number() >= 0) catalogue.view.max = reply.at(6).number();
  catalogue.view.closed = reply.at(7).number() == 1;
  settle(client, texts_in(reply.at(8)), limit);
  return catalogue;
}

bool Books::change(Client& client, const std::string& version, const std::string& token,
                   const CatalogueChange& change, const Limit& limit) const {
  const Reply reply =
      client.request(kChange, keys_,
                     {kind_text(kind_), version, token, change.text,
                      change.max ? std::to_string(*change.max) : "", change.closed ? "1" : ""},
                     limit);
  const bool done = reply.at(0).string() == "CHANGED";
  if (!done) expect(reply, "STALE");
  settle(client, texts_in(reply.at(1)), limit);
  return done;
}

Command Books::summary_command(bool in_full) const {
  Command command{in_full ? "EVAL" : "EVALSHA",
                  in_full ? kSummary.text : std::string(kSummary.sha1),
                  std::to_string(keys_.names.size())};
  command.insert(command.end(), keys_.names.begin(), keys_.names.end());
  command.emplace_back(kind_text(kind_));
  return command;
}

KeySummary Books::summary(const Reply& reply) {
  expect(reply, "SUMMARY");
  KeySummary summary;
  summary.size = reply.at(1).number();
  summary.waiting = reply.at(2).number();
  summary.max = reply.at(3).number();
  summary.stored = reply.at(4).number() == 1;
  summary.closed = reply.at(5).number() == 1;
  return summary;
}

}  // namespace cachify::store::redis

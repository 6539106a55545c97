#include "show/situation_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "show/situation_text.h"
#include "store/situation.h"
#include "util/time_text.h"

namespace cachify::show {

namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<int64_t>& number) {
  return number ? Json(*number) : Json(nullptr);
}

// Whole milliseconds: more digits would be noise.
double seconds(int64_t us) {
  const int64_t ms = std::max<int64_t>(us, 0) / 1000;
  return static_cast<double>(ms) / 1000;
}

Json summary(const Subject& subject, const std::optional<int64_t>& max,
             const std::optional<int64_t>& stored_max, int64_t size,
             const std::optional<int64_t>& waiting, bool closed) {
  return {{"key", subject.key},
          {"kind", subject.kind == store::Kind::pool ? "pool" : "lock"},
          {"store", subject.store},
          {"max", or_null(max)},
          {"stored_max", or_null(stored_max)},
          {"size", size},
          {"free", or_null(store::free_of(max, size))},
          {"waiting", or_null(waiting)},
          {"closed", closed}};
}

// What says who it is and since when, of holders and waiters alike.
template <class Info>
void add_who(Json& object, const Info& info, int64_t now_us) {
  object["weight"] = info.weight;
  object["shared"] = info.shared;
  object["host"] = info.who.host;
  object["pid"] = info.who.pid;
  object["user"] = user_of(info.who);
  object["command"] = info.who.command;
  object["since"] = util::rfc3339(info.since_us);
  object["age"] = seconds(now_us - info.since_us);
}

Json waiter_json(const store::WaiterInfo& waiter, int64_t now_us) {
  Json object = {{"id", waiter.id}, {"position", waiter.position}, {"priority", waiter.priority}};
  add_who(object, waiter, now_us);
  return object;
}

Json map_json(const store::MapInfo& map, int64_t now_us) {
  const store::MapFigures& figures = map.figures;
  return {{"host", map.who.host},
          {"pid", map.who.pid},
          {"user", user_of(map.who)},
          {"command", map.who.command},
          {"since", util::rfc3339(map.since_us)},
          {"uptime", seconds(now_us - map.since_us)},
          {"queued", figures.queued},
          {"running", figures.running},
          {"done", figures.done},
          {"failed", figures.failed},
          {"idle", figures.idle}};
}

Json counters_json(const store::Counters& counters) {
  const int64_t mean = counters.admitted > 0 ? counters.waited_us / counters.admitted : 0;
  return {{"admitted", counters.admitted},
          {"rejected", counters.rejected},
          {"timed_out", counters.timed_out},
          {"dismissed", counters.dismissed},
          {"expired", counters.expired},
          {"completed", counters.completed},
          {"longest_wait", seconds(counters.longest_wait_us)},
          {"mean_wait", seconds(mean)}};
}

}  // namespace

Json holder_json(const store::HolderInfo& holder, int64_t now_us) {
  Json object = {{"id", holder.id}, {"slot", holder.slot}};
  add_who(object, holder, now_us);
  object["expires"] = nullptr;
  if (holder.expires_in_ms) object["expires"] = seconds(*holder.expires_in_ms * 1000);
  object["fence"] = holder.fence;
  object["orphan"] = holder.orphan;
  object["ending"] = holder.ending;
  return object;
}

Json summary_json(const Subject& subject, const store::Situation& now) {
  std::optional<int64_t> waiting;
  if (now.with_who) waiting = static_cast<int64_t>(now.waiters.size());
  return summary(subject, store::max_of(subject.kind, now), now.stored_max, now.size, waiting,
                 now.closed);
}

Json summary_json(const Subject& subject, const store::KeySummary& key) {
  std::optional<int64_t> max;
  if (subject.kind == store::Kind::lock) {
    max = 1;
  } else if (key.max > 0) {
    max = key.max;
  }
  return summary(subject, max, key.stored ? max : std::nullopt, key.size, key.waiting, key.closed);
}

Json situation_json(const Subject& subject, const store::Situation& now, int64_t now_us) {
  Json object = summary_json(subject, now);
  Json& holders = object["holders"] = Json::array();
  for (const store::HolderInfo& holder : now.holders)
    holders.push_back(holder_json(holder, now_us));
  Json& waiters = object["waiters"] = Json::array();
  for (const store::WaiterInfo& waiter : now.waiters)
    waiters.push_back(waiter_json(waiter, now_us));
  object["counters"] = counters_json(now.counters);
  object["uptime"] = nullptr;
  if (now.created_us != 0) object["uptime"] = seconds(now_us - now.created_us);
  Json& maps = object["maps"] = Json::array();
  for (const store::MapInfo& map : now.maps) maps.push_back(map_json(map, now_us));
  return object;
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cachify::show

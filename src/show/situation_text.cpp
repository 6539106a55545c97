#include "show/situation_text.h"

#include <algorithm>

#include "show/table.h"
#include "store/situation.h"
#include "util/identity.h"
#include "util/time_text.h"

namespace cachify::show {

namespace {

using store::Kind;
using Align = Table::Column::Align;

std::string counted(int64_t count, std::string_view one, std::string_view more) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : more);
}

// Empty for this host: it goes without saying.
std::string foreign_host(const store::Who& who) {
  return who.host == util::host_name() ? std::string() : who.host;
}

void add_note(std::string& notes, const std::string& note) {
  if (!notes.empty()) notes += ", ";
  notes += note;
}

// What a holder and a waiter can have alike.
std::string notes_of(bool shared, int64_t weight) {
  std::string notes;
  if (shared) add_note(notes, "shared");
  if (weight > 1) add_note(notes, "weight " + std::to_string(weight));
  return notes;
}

Span note_of(const store::HolderInfo& holder) {
  std::string notes = notes_of(holder.shared, holder.weight);
  if (holder.orphan) add_note(notes, "orphan");
  if (holder.ending) add_note(notes, "ending");
  return {notes, holder.orphan || holder.ending ? Paint::doubtful : Paint::plain};
}

std::string seconds_text(int64_t us) {
  return util::span_text(std::chrono::seconds(std::max<int64_t>(us, 0) / 1'000'000));
}

// Milliseconds only where they mean something.
std::string wait_text(int64_t us) {
  if (us >= 10'000'000) return seconds_text(us);
  return util::span_text(std::chrono::milliseconds(us / 1000));
}

Table table_of_holders(const store::Situation& now, int64_t now_us) {
  Table table({{"SLOT", Align::right},
               {"ID"},
               {"PID", Align::right},
               {"USER"},
               {"HOST", Align::left, true},
               {"HELD", Align::right},
               {"EXPIRES", Align::right, true},
               {"NOTE", Align::left, true},
               {"COMMAND"}});
  for (const store::HolderInfo& holder : now.holders) {
    std::string expires;
    if (holder.expires_in_ms) expires = seconds_text(*holder.expires_in_ms * 1000);
    table.add_row({{std::to_string(holder.slot)},
                   {holder.id},
                   {std::to_string(holder.who.pid)},
                   {user_of(holder.who)},
                   {foreign_host(holder.who)},
                   {age_text(holder.since_us, now_us)},
                   {expires},
                   note_of(holder),
                   {holder.who.command}});
  }
  return table;
}

Table table_of_waiters(const store::Situation& now, int64_t now_us) {
  Table table({{"PLACE", Align::right},
               {"ID"},
               {"PRIO", Align::right, true},
               {"PID", Align::right},
               {"USER"},
               {"HOST", Align::left, true},
               {"WAITS", Align::right},
               {"NOTE", Align::left, true},
               {"COMMAND"}});
  for (const store::WaiterInfo& waiter : now.waiters) {
    table.add_row({{std::to_string(waiter.position)},
                   {waiter.id},
                   {waiter.priority == 0 ? std::string() : std::to_string(waiter.priority)},
                   {std::to_string(waiter.who.pid)},
                   {user_of(waiter.who)},
                   {foreign_host(waiter.who)},
                   {age_text(waiter.since_us, now_us)},
                   {notes_of(waiter.shared, waiter.weight)},
                   {waiter.who.command}});
  }
  return table;
}

Table table_of_maps(const store::Situation& now, int64_t now_us) {
  Table table({{"MAP", Align::right},
               {"USER"},
               {"HOST", Align::left, true},
               {"UP", Align::right},
               {"QUEUED", Align::right},
               {"RUNNING", Align::right},
               {"DONE", Align::right},
               {"FAILED", Align::right},
               {"IDLE", Align::right},
               {"COMMAND"}});
  for (const store::MapInfo& map : now.maps) {
    const store::MapFigures& figures = map.figures;
    table.add_row({{std::to_string(map.who.pid)},
                   {user_of(map.who)},
                   {foreign_host(map.who)},
                   {age_text(map.since_us, now_us)},
                   {std::to_string(figures.queued)},
                   {std::to_string(figures.running)},
                   {std::to_string(figures.done)},
                   {std::to_string(figures.failed), figures.failed > 0 ? Paint::bad : Paint::plain},
                   {std::to_string(figures.idle)},
                   {map.who.command}});
  }
  return table;
}

void append(std::vector<std::string>& lines, const Table& table, const Look& look) {
  if (table.empty()) return;
  lines.emplace_back();
  for (std::string& line : table.lines(look)) lines.push_back(std::move(line));
}

std::vector<std::string> counter_lines(const store::Situation& now, int64_t now_us,
                                       const Look& look) {
  const store::Counters& counters = now.counters;
  const int64_t mean = counters.admitted > 0 ? counters.waited_us / counters.admitted : 0;
  const auto number = [](int64_t count, const char* what) {
    return std::to_string(count) + " " + what;
  };
  const std::string served =
      number(counters.admitted, "admitted, ") + number(counters.completed, "completed, ") +
      number(counters.expired, "expired; counted for ") + age_text(now.created_us, now_us);
  const std::string refused = number(counters.rejected, "rejected, ") +
                              number(counters.timed_out, "timed out, ") +
                              number(counters.dismissed, "dismissed");
  const std::string waits = "waited " + wait_text(mean) + " on average, " +
                            wait_text(counters.longest_wait_us) + " at most";
  return {rendered({{served}}, look), rendered({{refused}}, look), rendered({{waits}}, look)};
}

std::string use_of_lock(const store::Situation& now) {
  if (now.size == 0) return "free";
  const bool shared = !now.holders.empty() && now.holders.front().shared;
  return shared ? "held by " + counted(now.size, "reader", "readers") : "held";
}

std::string use_of_pool(const store::Situation& now) {
  const auto max = store::max_of(Kind::pool, now);
  if (!max) return counted(now.size, "slot", "slots") + " in use";
  return std::to_string(now.size) + " of " + counted(*max, "slot", "slots") + " in use" +
         (now.stored_max ? " (stored cap)" : "");
}

}  // namespace

std::string user_of(const store::Who& who) {
  if (!who.user.empty()) return who.user;
  // Elsewhere the number may mean somebody else.
  const bool here = foreign_host(who).empty();
  const std::string name = here ? util::user_name(who.uid) : std::string();
  return name.empty() ? std::to_string(who.uid) : name;
}

std::string age_text(int64_t since_us, int64_t now_us) {
  return seconds_text(now_us - since_us);
}

Line headline(const Subject& subject, const store::Situation& now) {
  const bool pool = subject.kind == Kind::pool;
  Line line{{pool ? "pool " : "lock "},
            {subject.key, Paint::strong},
            {": " + (pool ? use_of_pool(now) : use_of_lock(now))}};
  if (!now.waiters.empty())
    line.push_back({", " + std::to_string(now.waiters.size()) + " waiting"});
  if (now.closed) {
    line.push_back({", "});
    line.push_back({"closed", Paint::bad});
  }
  line.push_back({" (" + subject.store + ")", Paint::faint});
  return line;
}

std::vector<std::string> situation_lines(const store::Situation& now, int64_t now_us,
                                         const Look& look) {
  std::vector<std::string> lines;
  append(lines, table_of_holders(now, now_us), look);
  append(lines, table_of_waiters(now, now_us), look);
  append(lines, table_of_maps(now, now_us), look);
  if (now.created_us == 0) return lines;
  lines.emplace_back();
  for (std::string& line : counter_lines(now, now_us, look)) lines.push_back(std::move(line));
  return lines;
}

std::vector<std::string> list_lines(Kind kind, const std::vector<store::KeySummary>& keys,
                                    const Look& look) {
  if (keys.empty()) return {};
  const bool pool = kind == Kind::pool;
  Table table({{"KEY"},
               {pool ? "IN USE" : "HOLDERS", Align::right},
               {pool ? "MAX" : "", Align::right, !pool},
               {"WAITING", Align::right},
               {"NOTE", Align::left, true}});
  for (const store::KeySummary& key : keys) {
    std::string notes;
    if (key.stored) add_note(notes, "stored cap");
    if (key.closed) add_note(notes, "closed");
    table.add_row({{key.key, Paint::strong},
                   {std::to_string(key.size)},
                   {pool && key.max > 0 ? std::to_string(key.max) : std::string()},
                   {std::to_string(key.waiting)},
                   {notes, key.closed ? Paint::bad : Paint::plain}});
  }
  return table.lines(look);
}

}  // namespace cachify::show

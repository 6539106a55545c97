#include "show/changes.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "show/situation_text.h"
#include "util/identity.h"

namespace cachify::show {

namespace {

using store::Counters;
using store::HolderInfo;
using store::Kind;
using store::MapInfo;
using store::Situation;
using store::WaiterInfo;

auto numbers_of(const Counters& counters) noexcept {
  return std::tie(counters.admitted, counters.completed, counters.rejected, counters.timed_out,
                  counters.dismissed, counters.expired, counters.waited_us,
                  counters.longest_wait_us);
}

bool is_same(const HolderInfo& a, const HolderInfo& b) noexcept {
  return a.id == b.id && a.slot == b.slot && a.orphan == b.orphan && a.ending == b.ending;
}

template <class Info>
std::map<std::string_view, const Info*> by_id(const std::vector<Info>& list) {
  std::map<std::string_view, const Info*> result;
  for (const Info& info : list) result.emplace(info.id, &info);
  return result;
}

template <class Info>
const Info* find(const std::map<std::string_view, const Info*>& known, const std::string& id) {
  const auto found = known.find(id);
  return found == known.end() ? nullptr : found->second;
}

std::string who_text(const store::Who& who) {
  std::string text = "pid " + std::to_string(who.pid);
  if (!who.host.empty() && who.host != util::host_name()) text += " on " + who.host;
  return text + " (" + user_of(who) + ")";
}

std::string command_text(const store::Who& who) {
  return who.command.empty() ? std::string() : ": " + who.command;
}

bool is_same_map(const MapInfo& a, const MapInfo& b) noexcept {
  return a.since_us == b.since_us && a.who.pid == b.who.pid && a.who.host == b.who.host;
}

bool has_map(const Situation& situation, const MapInfo& map) {
  return std::any_of(situation.maps.begin(), situation.maps.end(),
                     [&map](const MapInfo& other) { return is_same_map(map, other); });
}

bool maps_are_the_same(const Situation& before, const Situation& after) noexcept {
  return std::equal(before.maps.begin(), before.maps.end(), after.maps.begin(), after.maps.end(),
                    [](const MapInfo& a, const MapInfo& b) {
                      return is_same_map(a, b) && a.figures == b.figures;
                    });
}

bool books_differ(const Situation& before, const Situation& after) noexcept {
  return before.size != after.size || before.stored_max != after.stored_max ||
         before.closed != after.closed ||
         numbers_of(before.counters) != numbers_of(after.counters) ||
         !std::equal(before.holders.begin(), before.holders.end(), after.holders.begin(),
                     after.holders.end(), is_same) ||
         !std::equal(before.waiters.begin(), before.waiters.end(), after.waiters.begin(),
                     after.waiters.end(),
                     [](const WaiterInfo& a, const WaiterInfo& b) { return a.id == b.id; });
}

class Comparison {
 public:
  Comparison(Kind kind, const Situation& before, const Situation& after, int64_t now_us)
      : kind_(kind), before_(before), after_(after), now_us_(now_us) {}

  std::vector<Line> run() {
    compare_settings();
    compare_holders();
    compare_waiters();
    compare_maps();
    compare_counters();
    // Something is different that has no words here; a change must not pass for none.
    if (lines_.empty() && books_differ(before_, after_)) note("the books were changed");
    return std::move(lines_);
  }

 private:
  void came(const std::string& text) { lines_.push_back({{"+ ", Paint::good}, {text}}); }
  void went(const std::string& text) { lines_.push_back({{"- ", Paint::faint}, {text}}); }
  void note(const std::string& text) { lines_.push_back({{"! ", Paint::doubtful}, {text}}); }

  std::string place_of(const HolderInfo& holder) const {
    return kind_ == Kind::lock ? "the lock" : "slot " + std::to_string(holder.slot);
  }

  void compare_settings() {
    if (before_.closed != after_.closed) note(after_.closed ? "closed" : "open again");
    if (before_.stored_max == after_.stored_max) return;
    if (!after_.stored_max) {
      note("no stored cap any more");
    } else {
      note("the cap is " + std::to_string(*after_.stored_max) + " now" +
           (before_.stored_max ? ", it was " + std::to_string(*before_.stored_max) : ""));
    }
  }

  void compare_holders() {
    const auto before = by_id(before_.holders);
    const auto after = by_id(after_.holders);
    const auto waited = by_id(before_.waiters);
    for (const HolderInfo& holder : before_.holders) {
      if (find(after, holder.id) != nullptr) continue;
      went(place_of(holder) + " given back by " + who_text(holder.who) + " after " +
           age_text(holder.since_us, now_us_) + command_text(holder.who));
    }
    for (const HolderInfo& holder : after_.holders) {
      const HolderInfo* known = find(before, holder.id);
      if (known == nullptr) {
        ++seen_;
        const WaiterInfo* waiter = find(waited, holder.id);
        came(place_of(holder) + " taken by " + who_text(holder.who) +
             (waiter == nullptr ? "" : ", who waited " + age_text(waiter->since_us, now_us_)) +
             command_text(holder.who));
      } else if (holder.orphan && !known->orphan) {
        note(place_of(holder) + ": its cachify was killed, " + who_text(holder.who) +
             command_text(holder.who));
      } else if (holder.ending && !known->ending) {
        note(place_of(holder) + ": asked to end, " + who_text(holder.who) +
             command_text(holder.who));
      }
    }
  }

  void compare_waiters() {
    const auto before = by_id(before_.waiters);
    const auto after = by_id(after_.waiters);
    const auto holders = by_id(after_.holders);
    for (const WaiterInfo& waiter : before_.waiters) {
      if (find(after, waiter.id) != nullptr || find(holders, waiter.id) != nullptr) continue;
      went(who_text(waiter.who) + " waits no more, after " + age_text(waiter.since_us, now_us_) +
           command_text(waiter.who));
    }
    for (const WaiterInfo& waiter : after_.waiters) {
      if (find(before, waiter.id) != nullptr) continue;
      came(who_text(waiter.who) + " waits in place " + std::to_string(waiter.position) +
           command_text(waiter.who));
    }
  }

  // Figures that move all the time are shown, but no news.
  void compare_maps() {
    for (const MapInfo& map : before_.maps) {
      if (has_map(after_, map)) continue;
      went("map of " + who_text(map.who) + " ended after " + age_text(map.since_us, now_us_) +
           command_text(map.who));
    }
    for (const MapInfo& map : after_.maps) {
      if (has_map(before_, map)) continue;
      came("map of " + who_text(map.who) + " began" + command_text(map.who));
    }
  }

  // What came and went between the two pictures shows in the books only.
  void compare_counters() {
    const auto grown = [this](int64_t Counters::*counter) {
      return after_.counters.*counter - before_.counters.*counter;
    };
    const auto tell = [this](int64_t count, const std::string& text) {
      if (count > 0) note(std::to_string(count) + " " + text);
    };
    tell(grown(&Counters::admitted) - seen_, "came and went");
    tell(grown(&Counters::rejected), "rejected");
    tell(grown(&Counters::timed_out), "timed out");
    tell(grown(&Counters::dismissed), "dismissed");
    tell(grown(&Counters::expired), "expired");
  }

  Kind kind_;
  const Situation& before_;
  const Situation& after_;
  int64_t now_us_;
  int64_t seen_ = 0;
  std::vector<Line> lines_;
};

}  // namespace

bool differs(const Situation& before, const Situation& after) noexcept {
  return books_differ(before, after) || !maps_are_the_same(before, after);
}

std::vector<Line> changes_between(Kind kind, const Situation& before, const Situation& after,
                                  int64_t now_us) {
  return Comparison(kind, before, after, now_us).run();
}

}  // namespace cachify::show

#include "show/resources.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "show/situation_json.h"
#include "show/situation_text.h"
#include "show/table.h"
#include "util/identity.h"

namespace cachify::show {

namespace {

using Json = nlohmann::ordered_json;
using resource::Health;
using resource::Item;
using resource::Phase;

bool is_lent(const Item& item) {
  return item.phase == Phase::ready && !item.holder.empty();
}
bool is_free(const Item& item) {
  return item.phase == Phase::ready && item.holder.empty();
}

struct Numbers {
  int64_t available = 0;
  int64_t in_use = 0;
  int64_t size = 0;
  int64_t min = 0;
  int64_t max = 0;
};

Numbers numbers_of(const resource::Catalogue& catalogue) {
  Numbers numbers;
  const auto& items = catalogue.items;
  // One that failed its check is tried only when there is no other.
  numbers.available = std::count_if(items.begin(), items.end(), [](const Item& item) {
    return is_free(item) && item.health != Health::failed;
  });
  numbers.in_use = std::count_if(items.begin(), items.end(), is_lent);
  // Those on their way are none yet, or none any more.
  numbers.size = std::count_if(items.begin(), items.end(),
                               [](const Item& item) { return item.phase == Phase::ready; });
  if (!catalogue.defined) return numbers;
  numbers.max = catalogue.most();
  numbers.min = catalogue.definition.fixed() ? numbers.max : catalogue.definition.min;
  return numbers;
}

const char* state_of(const Item& item) {
  switch (item.phase) {
    case Phase::creating:
      return item.overdue ? "lost" : "being made";
    case Phase::destroying:
      return "being destroyed";
    case Phase::broken:
      return "not destroyed";
    case Phase::ready:
      break;
  }
  if (item.holder.empty()) return "free";
  return item.going ? "in use, going" : "in use";
}

const char* health_of(const Item& item) {
  switch (item.health) {
    case Health::good:
      return "good";
    case Health::failed:
      return "failed";
    case Health::unknown:
      break;
  }
  return "unknown";
}

const store::HolderInfo* holder_of(const Resources& now, const Item& item) {
  for (const store::HolderInfo& holder : now.situation.holders)
    if (is_lent(item) && holder.id == item.holder) return &holder;
  return nullptr;
}

double seconds(int64_t us) {
  const int64_t ms = std::max<int64_t>(us, 0) / 1000;
  return static_cast<double>(ms) / 1000;
}

Json resource_json(const Resources& now, const Item& item) {
  Json object = {{"name", item.handle}, {"state", state_of(item)}};
  object["age"] = seconds(now.now_us - item.made_us);
  object["health"] = health_of(item);
  object["checked"] = nullptr;
  if (item.checked_us != 0) object["checked"] = seconds(now.now_us - item.checked_us);
  object["uses"] = item.uses;
  object["holder"] = nullptr;
  if (const store::HolderInfo* holder = holder_of(now, item)) {
    object["holder"] = holder_json(*holder, now.now_us);
  } else if (is_lent(item)) {
    object["holder"] = {{"id", item.holder}};
  }
  return object;
}

std::string number_text(int64_t number) {
  return std::to_string(number);
}

}  // namespace

Json resources_json(const Resources& now) {
  const Numbers numbers = numbers_of(now.catalogue);
  Json object = {{"key", now.subject.key},
                 {"kind", "resource"},
                 {"store", now.subject.store},
                 {"available", numbers.available},
                 {"in_use", numbers.in_use},
                 {"size", numbers.size},
                 {"min", numbers.min},
                 {"max", numbers.max},
                 {"waiting", now.situation.waiters.size()},
                 {"closed", now.catalogue.closed()},
                 {"made", now.catalogue.made},
                 {"destroyed", now.catalogue.destroyed}};
  Json& resources = object["resources"] = Json::array();
  for (const Item& item : now.catalogue.items) resources.push_back(resource_json(now, item));
  return object;
}

std::string resources_text(const Resources& now, const Look& look) {
  const Numbers numbers = numbers_of(now.catalogue);
  std::string head = number_text(numbers.available) + " available, " + number_text(numbers.in_use) +
                     " in use, size " + number_text(numbers.size) + ", min " +
                     number_text(numbers.min) + ", max " + number_text(numbers.max);
  if (!now.situation.waiters.empty())
    head += ", " + std::to_string(now.situation.waiters.size()) + " waiting";
  if (now.catalogue.closed()) head += ", being stopped";
  std::vector<std::string> lines;
  lines.push_back(rendered({{"resource "},
                            {now.subject.key, Paint::strong},
                            {": " + head + " (" + now.subject.store + ")"}},
                           look));
  Table table({{"NAME"},
               {"STATE"},
               {"AGE", Table::Column::Align::right},
               {"HEALTH"},
               {"USES", Table::Column::Align::right},
               {"PID", Table::Column::Align::right, true},
               {"USER", Table::Column::Align::left, true},
               {"HOST", Table::Column::Align::left, true},
               {"HELD", Table::Column::Align::right, true},
               {"COMMAND", Table::Column::Align::left, true}});
  for (const Item& item : now.catalogue.items) {
    Line row = {{item.handle},
                {state_of(item), is_free(item) ? Paint::plain : Paint::strong},
                {age_text(item.made_us, now.now_us)},
                {health_of(item), item.health == Health::failed ? Paint::bad : Paint::plain},
                {number_text(item.uses)}};
    if (const store::HolderInfo* holder = holder_of(now, item)) {
      const bool here = holder->who.host == util::host_name();
      row.push_back({std::to_string(holder->who.pid)});
      row.push_back({user_of(holder->who)});
      row.push_back({here ? std::string() : holder->who.host});
      row.push_back({age_text(holder->since_us, now.now_us)});
      row.push_back({holder->who.command});
    } else {
      row.insert(row.end(), 5, Span{});
    }
    table.add_row(std::move(row));
  }
  if (!table.empty()) {
    lines.emplace_back();
    for (std::string& line : table.lines(look)) lines.push_back(std::move(line));
  }
  return joined(lines);
}

}  // namespace cachify::show

#include "store/file/table.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

using namespace cachify::store::file;

namespace {

// Everybody lives but those who are named, and counts how often it is asked.
class FakeLiveness : public Liveness {
 public:
  std::set<uint64_t> dead;
  int asked = 0;

  bool waits(uint32_t, uint64_t ticket) override { return lives_on(ticket); }
  bool lives(uint32_t, uint64_t ticket) override { return lives_on(ticket); }
  bool holds(uint32_t, uint64_t ticket) override { return lives_on(ticket); }

 private:
  bool lives_on(uint64_t ticket) {
    ++asked;
    return dead.count(ticket) == 0;
  }
};

Entry waiting(uint64_t ticket, int16_t priority = 0) {
  Entry entry{};
  entry.ticket = ticket;
  entry.state = EntryState::waiting;
  entry.priority = priority;
  entry.count = entry.weight = 1;
  return entry;
}

Entry holding(uint64_t ticket, uint32_t slot, uint32_t count = 1) {
  Entry entry{};
  entry.ticket = ticket;
  entry.state = EntryState::holding;
  entry.slot = slot;
  entry.count = entry.weight = count;
  return entry;
}

Table table_of(const std::vector<Entry>& entries) {
  Table table;
  for (uint32_t i = 0; i < entries.size(); ++i) table.set(i, entries[i]);
  table.clean();
  return table;
}

std::vector<uint64_t> tickets(const Table& table, const std::vector<uint32_t>& indexes) {
  std::vector<uint64_t> list;
  for (const uint32_t i : indexes) list.push_back(table.entries[i].ticket);
  return list;
}

Wish pool(uint32_t max, uint32_t weight = 1) {
  return {.max = max, .weight = weight, .lock = false, .shared = false, .priority = 0};
}

Wish lock(bool shared) {
  return {.max = 1, .weight = 1, .lock = true, .shared = shared, .priority = 0};
}

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;
using Tickets = std::vector<uint64_t>;
constexpr uint64_t kBehindAll = ~uint64_t{0};

}  // namespace

TEST_CASE("drawn numbers grow and never repeat, whatever the clock does") {
  Table table;
  uint64_t last = 0;
  for (const int64_t now : {1000, 1000, 1001, 5000, 4000, 0, -7, 4999, 5004, 9000}) {
    const uint64_t drawn = table.draw(now);
    CHECK(drawn > last);
    CHECK(drawn == table.header.next);
    last = drawn;
  }
  CHECK(last == 9000);
}

TEST_CASE("a deleted key's numbers go on where the clock is") {
  Table first;
  first.draw(5'000'000);
  first.draw(5'000'000);
  Table anew;
  CHECK(anew.draw(5'000'010) > first.header.next);
}

TEST_CASE("the queue is ordered by priority, then by arrival") {
  const Table table = table_of({waiting(5), waiting(3, -1), waiting(9, 7), holding(1, 0),
                                waiting(4), waiting(6, 7), waiting(8, -100), waiting(7, 100)});
  CHECK(tickets(table, table.queue()) == Tickets{7, 6, 9, 4, 5, 3, 8});
}

TEST_CASE("the nearest live waiter before a caller") {
  Table table = table_of({waiting(1), waiting(2, 5), waiting(3), waiting(4)});
  FakeLiveness live;
  const auto before = [&](int16_t priority, uint64_t ticket) -> uint64_t {
    const auto index = table.nearest_before(priority, ticket, live);
    return index ? table.entries[*index].ticket : 0;
  };
  SUBCASE("is the one served last before it") {
    CHECK(before(0, 4) == 3);
    CHECK(before(0, 3) == 1);
    CHECK(before(0, 1) == 2);
    CHECK(before(5, 2) == 0);
    CHECK(before(0, kBehindAll) == 4);
    CHECK(before(5, kBehindAll) == 2);
    CHECK(before(6, kBehindAll) == 0);
    CHECK(before(-1, kBehindAll) == 4);
    CHECK(table.dirty().empty());
  }
  SUBCASE("skips and drops the dead that it meets, no others") {
    live.dead = {1, 3, 4};
    CHECK(before(0, 4) == 2);
    CHECK(table.dirty() == std::vector<uint32_t>{2, 0});
    CHECK(table.entries[3].ticket == 4);
  }
  SUBCASE("asks the kernel no more than it must") {
    CHECK(before(0, 4) == 3);
    CHECK(live.asked == 1);
  }
}

TEST_CASE("the live queue drops all the dead but never the caller's own entry") {
  Table table = table_of({waiting(1), waiting(2), waiting(3), waiting(4)});
  FakeLiveness live;
  live.dead = {1, 3, 4};
  CHECK(tickets(table, table.live_queue(live, 3)) == Tickets{2, 4});
  CHECK(table.entries[0].state == EntryState::free);
  CHECK(table.entries[2].state == EntryState::free);
}

TEST_CASE("a pool takes who still fits under his own cap") {
  const Table table = table_of({holding(1, 0), holding(2, 1, 2), waiting(3)});
  CHECK(table.used() == 3);
  CHECK(table.fits(pool(4)));
  CHECK_FALSE(table.fits(pool(3)));
  CHECK_FALSE(table.fits(pool(1)));
  CHECK_FALSE(table.fits(pool(4, 2)));
  CHECK(table.fits(pool(5, 2)));
}

TEST_CASE("a stored cap counts for everyone") {
  Table table = table_of({holding(1, 0), holding(2, 1)});
  table.header.stored_max = 2;
  CHECK_FALSE(table.fits(pool(100)));
  table.header.stored_max = 3;
  CHECK(table.fits(pool(1)));
}

TEST_CASE("readers share a lock and writers do not") {
  Entry reader = holding(1, 0);
  reader.shared = 1;
  CHECK(table_of({}).fits(lock(false)));
  CHECK(table_of({waiting(1)}).fits(lock(false)));
  CHECK(table_of({reader, reader}).fits(lock(true)));
  CHECK_FALSE(table_of({reader}).fits(lock(false)));
  CHECK_FALSE(table_of({holding(1, 0)}).fits(lock(true)));
  CHECK_FALSE(table_of({holding(1, 0)}).fits(lock(false)));
}

TEST_CASE("the lowest free slots are given, in as many pieces as it takes") {
  CHECK(table_of({}).free_slots(1) == Ranges{{0, 1}});
  CHECK(table_of({}).free_slots(5) == Ranges{{0, 5}});
  CHECK(table_of({holding(1, 0), holding(2, 1)}).free_slots(2) == Ranges{{2, 2}});
  const Table holes = table_of({holding(4, 6, 2), holding(1, 1), holding(2, 3), waiting(9)});
  CHECK(holes.free_slots(1) == Ranges{{0, 1}});
  CHECK(holes.free_slots(2) == Ranges{{0, 1}, {2, 1}});
  CHECK(holes.free_slots(4) == Ranges{{0, 1}, {2, 1}, {4, 2}});
  CHECK(holes.free_slots(7) == Ranges{{0, 1}, {2, 1}, {4, 2}, {8, 3}});
}

TEST_CASE("a holder is dropped with all its pieces and nobody else's") {
  Entry apart = holding(7, 0);
  apart.weight = 3;
  Entry piece = holding(7, 2, 2);
  piece.state = EntryState::extra;
  piece.weight = 3;
  Table table = table_of({holding(5, 1), apart, piece, holding(6, 4)});
  CHECK(table.used() == 5);
  table.drop_holder(1);
  CHECK(table.used() == 2);
  CHECK(tickets(table, table.holders()) == Tickets{5, 6});
  CHECK(table.dirty() == std::vector<uint32_t>{1, 2});
}

TEST_CASE("the expired stop counting at their instant") {
  Entry early = holding(1, 0);
  early.expires = 1000;
  Entry late = holding(2, 1);
  late.expires = 2000;
  Table table = table_of({early, late, holding(3, 2)});
  CHECK(table.nearest_expiry() == 1000);
  table.drop_expired(999);
  CHECK(table.used() == 3);
  table.drop_expired(1000);
  CHECK(table.used() == 2);
  CHECK(table.header.counters.expired == 1);
  CHECK(table.nearest_expiry() == 2000);
  table.drop_expired(1'000'000);
  CHECK(tickets(table, table.holders()) == Tickets{3});
  CHECK_FALSE(table.nearest_expiry());
}

TEST_CASE("dead holders are dropped, dead waiters are not asked about") {
  Table table = table_of({holding(1, 0), waiting(2), holding(3, 1)});
  FakeLiveness live;
  live.dead = {1, 2};
  table.drop_dead_holders(live);
  CHECK(tickets(table, table.holders()) == Tickets{3});
  CHECK(table.entries[1].ticket == 2);
  CHECK(live.asked == 2);
}

TEST_CASE("free places are used again before the table grows") {
  Table table = table_of({holding(1, 0), holding(2, 1), holding(3, 2)});
  CHECK(table.free_index() == 3);
  table.clear(1);
  CHECK(table.free_index() == 1);
  CHECK(Table().free_index() == 0);
}

TEST_CASE("the head is the first live waiter, whatever died before it") {
  Table table = table_of({waiting(5), waiting(7, 3), waiting(6, 3), holding(1, 0)});
  FakeLiveness live;
  live.dead = {6, 7};
  CHECK(table.heads(live) == std::vector<uint32_t>{0});
  CHECK(tickets(table, table.queue()) == Tickets{5});
  live.dead = {5};
  CHECK(table.heads(live).empty());
}

TEST_CASE("who was the head before it was overtaken may sleep as one, and nobody else is asked") {
  Table table = table_of({waiting(5), waiting(6), waiting(8, 3), waiting(7, 1), waiting(9, 1)});
  FakeLiveness live;
  CHECK(tickets(table, table.heads(live)) == Tickets{8, 7, 5});
  CHECK(live.asked == 3);
  live.dead = {7};
  CHECK(tickets(table, table.heads(live)) == Tickets{8, 5});
}

TEST_CASE(
    "the dismissed are before nobody, and stay until their owner or somebody else drops them") {
  Table table = table_of({waiting(5), waiting(6), waiting(7), holding(1, 0)});
  FakeLiveness live;
  live.dead = {6};
  CHECK(table.dismiss_all(live) == std::vector<uint32_t>{0, 2});
  CHECK(table.header.counters.dismissed == 2);
  CHECK(table.queue().empty());
  CHECK_FALSE(table.nearest_before(0, kBehindAll, live));
  CHECK(table.used() == 1);
  CHECK(table.free_index() == 1);  // of the dead one; the others are not free
  table.drop_dead_holders(live);
  CHECK(table.entries[0].state == EntryState::dismissed);
  live.dead = {5};
  table.drop_dead_holders(live);
  CHECK(table.entries[0].state == EntryState::free);
  CHECK(table.entries[2].state == EntryState::dismissed);
  CHECK(table.entries[3].state == EntryState::holding);
}

TEST_CASE("the oldest are replaced, as many as it needs, those that end already counted") {
  const auto admitted = [](uint64_t ticket, uint64_t fence, uint32_t slot, uint32_t count) {
    Entry entry = holding(ticket, slot, count);
    entry.fence = fence;
    return entry;
  };
  // Ticket 1 waited for long and was admitted last.
  Table table = table_of({admitted(1, 40, 0, 1), admitted(2, 20, 1, 2), admitted(3, 30, 3, 1)});
  CHECK(table.to_replace(pool(5)).empty());
  CHECK(tickets(table, table.to_replace(pool(4))) == Tickets{2});
  CHECK(tickets(table, table.to_replace(pool(4, 2))) == Tickets{2});
  CHECK(tickets(table, table.to_replace(pool(4, 3))) == Tickets{2, 3});
  CHECK(tickets(table, table.to_replace(pool(4, 4))) == Tickets{2, 3, 1});
  CHECK(table.to_replace(pool(4, 5)).empty());  // would never fit
  table.ask_to_end(1, std::chrono::seconds(2));
  CHECK(table.to_replace(pool(4, 2)).empty());
  CHECK(tickets(table, table.to_replace(pool(4, 3))) == Tickets{3});
  table.header.stored_max = 2;
  CHECK(tickets(table, table.to_replace(pool(4, 1))) == Tickets{3});
}

TEST_CASE("a writer replaces everybody, a reader only a writer") {
  Table table = table_of({holding(1, 0), holding(2, 1)});
  for (const uint32_t i : {0U, 1U}) {
    Entry reader = table.entries[i];
    reader.shared = 1;
    table.set(i, reader);
  }
  CHECK(table.to_replace(lock(true)).empty());
  CHECK(tickets(table, table.to_replace(lock(false))) == Tickets{1, 2});
  Table written = table_of({holding(1, 0)});
  CHECK(tickets(written, written.to_replace(lock(true))) == Tickets{1});
}

TEST_CASE("how long an ending command has is kept to the millisecond, rounded up") {
  using namespace std::chrono_literals;
  Table table = table_of({holding(1, 0)});
  CHECK_FALSE(kill_after_of(table.entries[0]));
  const auto kept = [&](std::optional<cachify::util::Duration> kill_after) {
    table.ask_to_end(0, kill_after);
    CHECK(table.entries[0].ending != 0);
    CHECK(table.entries[0].checksum == checksum_of(table.entries[0]));
    return kill_after_of(table.entries[0]);
  };
  CHECK_FALSE(kept(std::nullopt));
  CHECK(kept(0s) == 0s);
  CHECK(kept(1ns) == 1ms);
  CHECK(kept(1500ms) == 1500ms);
  CHECK(kept(24h * 36500) > 24h * 49);  // cut to what there is room for
}

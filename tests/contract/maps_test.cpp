// The maps of store/store.h, over every store of contract/stores.cpp.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "contract/scene.h"

using namespace cachify;
using namespace cachify::test;
using store::Kind;
using store::MapFigures;

namespace {

store::Who who(int32_t pid) {
  return {pid, 1000, "alice", "box", "./load '{}'\n\x01"};
}

// As a map calls it: with each change, and when it is asked to.
bool is_shown_as(Scene& scene, store::MapRecord& record, const MapFigures& figures) {
  return Scene::becomes([&] {
    record.update(figures);
    const auto maps = scene.situation().maps;
    return maps.size() == 1 && maps[0].figures == figures;
  });
}

}  // namespace

TEST_CASE("a map is shown with its latest figures for as long as its record is there") {
  over_every_store([](Scene& scene) {
    auto record = scene.store().show_map("k", who(21));
    REQUIRE(record);
    CHECK(scene.situation().maps.empty());
    const int64_t before = util::realtime_us();
    CHECK(is_shown_as(scene, *record, {1, 2, 3, 4, 5}));
    const store::MapInfo map = scene.situation().maps.at(0);
    CHECK(map.who.pid == 21);
    CHECK(map.who.uid == 1000);
    CHECK(map.who.host == "box");
    CHECK(map.who.command == who(21).command);
    CHECK(std::abs(map.since_us - before) < 5'000'000);
    CHECK(is_shown_as(scene, *record, {0, INT64_MAX, 0, 0, 0}));
    CHECK(scene.situation().maps.at(0).since_us == map.since_us);
    CHECK(scene.situation(Kind::lock).maps.empty());
    CHECK(scene.size() == 0);
    CHECK(scene.store().list(Kind::pool).empty());
    record.reset();
    CHECK(scene.situation().maps.empty());
  });
}

TEST_CASE("maps of one pool stand in the order in which they began, and go one by one") {
  over_every_store([](Scene& scene) {
    std::vector<std::unique_ptr<store::MapRecord>> records;
    for (int32_t pid = 1; pid <= 3; ++pid) {
      records.push_back(scene.store().show_map("k", who(pid)));
      CHECK(Scene::becomes([&] {
        records.back()->update({pid, 0, 0, 0, 0});
        return scene.situation().maps.size() == records.size();
      }));
    }
    const auto pids = [&scene] {
      std::string text;
      for (const auto& map : scene.situation().maps) text += std::to_string(map.who.pid);
      return text;
    };
    CHECK(pids() == "123");
    records[1].reset();
    CHECK(pids() == "13");
    records[1] = scene.store().show_map("k", who(4));
    CHECK(Scene::becomes([&] {
      records[1]->update({});
      return pids() == "134";
    }));
    records.clear();
    CHECK(pids().empty());
  });
}

TEST_CASE("a map hears of who comes to wait, of the cap and of closing, and of nothing twice") {
  over_every_store([](Scene& scene) {
    using News = store::MapRecord::News;
    const auto record = scene.store().show_map("k", who(21));
    const auto hears = [&record](News news) {
      return Scene::becomes([&] {
        record->update({1, 0, 0, 0, 0});
        return record->news() == news;
      });
    };
    Caller& holder = scene.hold(pool(1));
    CHECK(hears(News::none));
    scene.queue(pool(1));
    CHECK(hears(News::arrival));
    CHECK(hears(News::none));
    scene.store().resize(Kind::pool, "other", 4);
    scene.store().set_closed(Kind::lock, "k", true);
    CHECK(record->news() == News::none);
    const std::vector<std::function<void()>> deeds = {
        [&scene] { scene.store().resize(Kind::pool, "k", 1); },
        [&scene] { scene.store().set_closed(Kind::pool, "k", true); },
        [&scene] { scene.store().set_closed(Kind::pool, "k", false); },
        [&scene] { scene.store().resize(Kind::pool, "k", std::nullopt); }};
    for (const auto& deed : deeds) {
      deed();
      CHECK(hears(News::change));
    }
    holder.release();
  });
}

TEST_CASE("a record asks to be called only while there is something to say") {
  over_every_store([](Scene& scene) {
    const auto record = scene.store().show_map("k", who(21));
    CHECK(is_shown_as(scene, *record, {1, 0, 0, 0, 0}));
    record->update({2, 0, 0, 0, 0});
    const auto next = record->next_update();
    REQUIRE(next);
    CHECK(*next <= util::monotonic_now() + std::chrono::seconds(2));
    // Not more often than that, whatever is said meanwhile.
    CHECK(scene.situation().maps.at(0).figures == MapFigures{1, 0, 0, 0, 0});
  });
}

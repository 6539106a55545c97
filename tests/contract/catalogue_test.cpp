// The catalogues of store/store.h, over every store of contract/stores.cpp.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "contract/scene.h"
#include "errors.h"

using namespace cachify;
using namespace cachify::test;
using store::CatalogueChange;
using store::CatalogueView;
using store::Kind;
using store::Outcome;

namespace {

store::Claim resource(int64_t max) {
  store::Claim claim = pool(max);
  claim.kind = Kind::resource;
  return claim;
}

CatalogueChange change(const std::string& text, std::optional<int64_t> max, bool closed = false) {
  return {text, max, closed};
}

void set(Scene& scene, const CatalogueChange& wanted) {
  scene.store().update_catalogue(
      "k", [&](const CatalogueView&) { return wanted; }, nullptr);
}

}  // namespace

TEST_CASE("a catalogue is kept, whatever its bytes, with its cap and closing") {
  over_every_store([](Scene& scene) {
    CHECK(scene.store().catalogue("k").text.empty());
    std::string text = "{\"a\"}\n";
    for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
    set(scene, change(text, 2, true));
    const CatalogueView view = scene.store().catalogue("k");
    CHECK(view.text == text);
    CHECK(view.max == 2);
    CHECK(view.closed);
    CHECK(view.now_us > 1'600'000'000'000'000);
    CHECK(scene.outcome(resource(1)) == Outcome::closed);
    CHECK(scene.outcome(pool(1)) == Outcome::admitted);
    set(scene, change("", std::nullopt));
    CHECK(scene.store().catalogue("k").text.empty());
    CHECK_FALSE(scene.store().catalogue("k").max);
    CHECK(scene.outcome(resource(1)) == Outcome::admitted);
  });
}

TEST_CASE("a change that is none leaves all as it is, and what it throws comes out") {
  over_every_store([](Scene& scene) {
    set(scene, change("text", 3));
    scene.store().update_catalogue(
        "k", [](const CatalogueView&) { return std::nullopt; }, nullptr);
    CHECK_THROWS_AS(
        scene.store().update_catalogue(
            "k",
            [](const CatalogueView&) -> std::optional<CatalogueChange> { throw UsageError("no"); },
            nullptr),
        UsageError);
    CHECK(scene.store().catalogue("k").text == "text");
    CHECK(scene.store().catalogue("k").max == 3);
  });
}

TEST_CASE("a change sees who is alive, and nobody else") {
  over_every_store([](Scene& scene) {
    set(scene, change("text", 2));
    Caller& first = scene.hold(resource(2));
    Caller& second = scene.hold(resource(2));
    scene.queue(resource(2));
    const auto live = [&] {
      std::vector<std::string> ids;
      for (const auto& holder : scene.store().catalogue("k").live) ids.push_back(holder.id);
      std::sort(ids.begin(), ids.end());
      return ids;
    };
    std::vector<std::string> both = {first.result().grant.id, second.result().grant.id};
    std::sort(both.begin(), both.end());
    CHECK(live() == both);
    CHECK(scene.store().catalogue("k").waiting == 1);
    for (const auto& holder : scene.store().catalogue("k").live) {
      const auto& grant =
          holder.id == first.result().grant.id ? first.result().grant : second.result().grant;
      CHECK(holder.fence == grant.fence);
    }
  });
}

TEST_CASE("a larger cap lets who waits in at once") {
  over_every_store([](Scene& scene) {
    set(scene, change("text", 1));
    scene.hold(resource(1));
    Caller& next = scene.queue(resource(1));
    set(scene, change("text", 2));
    CHECK(Scene::becomes([&] { return next.answered(); }));
  });
}

TEST_CASE("of changes at the same time none is lost") {
  over_every_store([](Scene& scene) {
    constexpr int kCallers = 4;
    constexpr int kChanges = 25;
    set(scene, change("0", 1));
    std::vector<pid_t> pids;
    for (int i = 0; i < kCallers; ++i) {
      const pid_t pid = ::fork();
      REQUIRE(pid >= 0);
      if (pid == 0) {
        int code = 1;
        try {
          const auto opened = scene.fixture().open();
          for (int n = 0; n < kChanges; ++n) {
            opened->update_catalogue(
                "k",
                [](const CatalogueView& view) {
                  return change(std::to_string(std::stoi(view.text) + 1), 1);
                },
                nullptr);
          }
          code = 0;
        } catch (const std::exception&) {
          // The code tells.
        }
        ::_exit(code);
      }
      pids.push_back(pid);
    }
    for (const pid_t pid : pids) {
      int status = -1;
      ::waitpid(pid, &status, 0);
      CHECK(status == 0);
    }
    CHECK(scene.store().catalogue("k").text == std::to_string(kCallers * kChanges));
  });
}

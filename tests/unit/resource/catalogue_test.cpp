// The rules of a catalogue, with a fake clock and fake pieces of work.
#include "resource/catalogue.h"

#include <doctest/doctest.h>

#include <map>

#include "errors.h"

using namespace cachify;
using namespace cachify::resource;
using namespace std::chrono_literals;

namespace {

class FakeWorks : public Works {
 public:
  Work begin(int64_t until_us) override {
    const Work work{"here", "work." + std::to_string(++count), until_us};
    progresses[work.file] = Progress::busy;
    return work;
  }
  Progress progress(const Work& work, int64_t) override { return progresses[work.file]; }
  Made made(const Work& work) override { return outcomes[work.file]; }

  int count = 0;
  std::map<std::string, Progress> progresses;
  std::map<std::string, Made> outcomes;
};

constexpr int64_t kSecond = 1'000'000;

// One catalogue in its world. Each call is a change: settled first, and kept as text in between.
class World {
 public:
  template <class Change>
  auto change(Change what) {
    Catalogue catalogue = Catalogue::from_text(text, "key");
    facts.works = &works;
    static_cast<void>(catalogue.settle(facts));
    const auto answer = what(catalogue);
    text = catalogue.to_text();
    return answer;
  }
  explicit World(const Definition& wanted) {
    REQUIRE(change([&](Catalogue& c) { return c.agree(wanted, facts); }) ==
            Catalogue::Agreement::agreed);
  }

  Catalogue look() {
    return change([](const Catalogue& catalogue) { return catalogue; });
  }

  void live(const std::vector<std::string>& ids) {
    facts.live.clear();
    for (const std::string& id : ids) facts.live.push_back({id, facts.live.size() + 1});
  }
  Step next(const std::string& me, const std::set<uint64_t>& tried = {}) {
    return change([&](Catalogue& c) { return c.next(me, tried, facts); });
  }
  // The handle that `me` gets, all commands succeeding.
  std::string get(const std::string& me) {
    const Step step = next(me);
    if (step.kind == Step::Kind::create) {
      const Made made{Made::Result::made, "made" + std::to_string(step.item.number)};
      REQUIRE(change([&](Catalogue& c) { return c.finish_create(step.item.number, made, facts); }));
      return made.handle;
    }
    REQUIRE(step.kind == Step::Kind::lend);
    return step.item.handle;
  }
  std::vector<Item> give_back(const std::string& me) {
    return change([&](Catalogue& c) { return c.give_back(me, facts); });
  }

  std::string text;
  Facts facts{1000 * kSecond, {}, 0, 60 * kSecond, nullptr};
  FakeWorks works;
};

Definition fixed(const std::vector<std::string>& names) {
  Definition definition;
  definition.names = names;
  return definition;
}

Definition made(int64_t min, int64_t max) {
  Definition definition;
  definition.create = "mk";
  definition.destroy = "rm";
  definition.min = min;
  definition.max = max;
  return definition;
}

std::vector<std::string> handles(const Catalogue& catalogue) {
  std::vector<std::string> list;
  for (const Item& item : catalogue.items) list.push_back(item.handle);
  return list;
}

}  // namespace

TEST_CASE("a name is lent to one live holder, and free again when he gives it back or dies") {
  World world(fixed({"a", "b"}));
  world.live({"1", "2"});
  CHECK(world.get("1") == "a");
  CHECK(world.get("2") == "b");
  CHECK(world.next("3").kind == Step::Kind::wait);
  world.give_back("1");
  world.live({"2", "3"});
  CHECK(world.get("3") == "a");
  world.live({"3", "4"});  // 2 was killed
  CHECK(world.get("4") == "b");
}

TEST_CASE("what is made is never more than --max, and is used again") {
  World world(made(0, 2));
  world.live({"1", "2"});
  CHECK(world.get("1") == "made1");
  CHECK(world.get("2") == "made2");
  CHECK(world.next("3").kind == Step::Kind::wait);
  world.give_back("2");
  world.live({"1", "3"});
  CHECK(world.get("3") == "made2");
  CHECK(world.look().made == 2);
}

TEST_CASE("one resource that is missing is made by one caller") {
  World world(made(0, 1));
  world.live({"1"});
  const Step step = world.next("1");
  CHECK(step.kind == Step::Kind::create);
  world.live({});  // the slot was lost, the command goes on
  CHECK(world.next("2").kind == Step::Kind::wait);
}

TEST_CASE("what a dead caller's create has made is adopted, once that has ended") {
  World world(made(0, 2));
  world.live({"1"});
  const Step step = world.next("1");
  world.live({"2"});
  CHECK(world.look().items[0].phase == Phase::creating);
  world.works.progresses[step.item.work->file] = Progress::over;
  SUBCASE("with a handle") {
    world.works.outcomes[step.item.work->file] = {Made::Result::made, "db"};
    CHECK(world.get("2") == "db");
    CHECK(world.look().made == 1);
  }
  SUBCASE("without one") {
    CHECK(world.look().items.empty());
  }
  SUBCASE("failed after it had printed a handle") {
    world.works.outcomes[step.item.work->file] = {Made::Result::failed, "db"};
    const Catalogue now = world.look();
    REQUIRE(now.items.size() == 1);
    CHECK(now.items[0].phase == Phase::destroying);
    CHECK(world.change([&](Catalogue& c) { return c.errands(false, world.facts); }).size() == 1);
  }
}

TEST_CASE("a create that nobody can tell about counts no more, but is not forgotten") {
  World world(made(0, 1));
  world.live({"1"});
  const Step step = world.next("1");
  world.live({"2"});
  world.works.progresses[step.item.work->file] = Progress::overdue;
  CHECK(world.get("2") == "made2");
  world.works.progresses[step.item.work->file] = Progress::over;
  world.works.outcomes[step.item.work->file] = {Made::Result::made, "late"};
  CHECK(handles(world.look()) == std::vector<std::string>{"late", "made2"});
}

TEST_CASE("a handle that is there already is not taken a second time") {
  World world(made(0, 2));
  world.live({"1", "2"});
  CHECK(world.get("1") == "made1");
  const Step step = world.next("2");
  const Made same{Made::Result::made, "made1"};
  CHECK_FALSE(world.change(
      [&](Catalogue& c) { return c.finish_create(step.item.number, same, world.facts); }));
  CHECK(handles(world.look()) == std::vector<std::string>{"made1"});
}

TEST_CASE("one that is older than --max-life is destroyed and made anew") {
  Definition definition = made(0, 1);
  definition.max_life = 1h;
  World world(definition);
  world.live({"1"});
  CHECK(world.get("1") == "made1");
  world.facts.now_us += 3601 * kSecond;
  world.give_back("1");
  world.live({"2"});
  const Step step = world.next("2");
  REQUIRE(step.kind == Step::Kind::destroy);
  CHECK(step.item.handle == "made1");
  world.change([&](Catalogue& c) {
    c.finish_destroy(step.item.number, true);
    return 0;
  });
  CHECK(world.get("2") == "made2");
  CHECK(world.look().destroyed == 1);
}

TEST_CASE("one that is not too old yet is lent") {
  Definition definition = made(0, 1);
  definition.max_life = 1h;
  World world(definition);
  world.live({"1"});
  CHECK(world.get("1") == "made1");
  world.give_back("1");
  world.facts.now_us += 3599 * kSecond;
  world.live({"2"});
  CHECK(world.get("2") == "made1");
}

TEST_CASE("a made one that fails its check is destroyed") {
  World world(made(0, 1));
  world.live({"1"});
  world.get("1");
  const uint64_t number = world.look().items[0].number;
  CHECK(world.change([&](Catalogue& c) { return c.finish_check(number, false, world.facts); }));
  const Catalogue now = world.look();
  CHECK(now.items[0].phase == Phase::destroying);
  CHECK(now.items[0].holder.empty());
}

TEST_CASE("a name that fails its check is set aside, and tried again when there is no other") {
  World world(fixed({"a", "b"}));
  world.live({"1"});
  const Step first = world.next("1");
  CHECK_FALSE(world.change(
      [&](Catalogue& c) { return c.finish_check(first.item.number, false, world.facts); }));
  const Step second = world.next("1", {first.item.number});
  CHECK(second.item.handle == "b");
  world.live({"1", "2"});
  const Step third = world.next("2");
  CHECK(third.kind == Step::Kind::lend);
  CHECK(third.item.handle == "a");
  CHECK(world.next("2", {third.item.number}).kind != Step::Kind::lend);
}

TEST_CASE("where every name has failed in one call, nothing is left") {
  World world(fixed({"a"}));
  world.live({"1"});
  const Step step = world.next("1");
  world.change([&](Catalogue& c) { return c.finish_check(step.item.number, false, world.facts); });
  CHECK(world.next("1", {step.item.number}).kind == Step::Kind::nothing);
}

TEST_CASE("a destroy that was broken off is done again by the next one") {
  World world(made(0, 1));
  world.live({"1"});
  world.get("1");
  std::vector<Item> to_destroy;
  world.change([&](Catalogue& c) { return c.remove("made1", world.facts, to_destroy); });
  to_destroy = world.give_back("1");
  REQUIRE(to_destroy.size() == 1);
  world.live({"2"});
  CHECK(world.next("2").kind == Step::Kind::wait);
  world.works.progresses[to_destroy[0].work->file] = Progress::over;
  const Step again = world.next("2");
  CHECK(again.kind == Step::Kind::destroy);
  CHECK(again.item.handle == "made1");
}

TEST_CASE(
    "one that cannot be destroyed counts no more, stays in the list, and can be tried again") {
  World world(made(0, 1));
  world.live({"1"});
  world.get("1");
  world.give_back("1");
  std::vector<Item> to_destroy;
  const auto remove = [&] {
    return world.change([&](Catalogue& c) { return c.remove("made1", world.facts, to_destroy); });
  };
  CHECK(remove() == Catalogue::Removal::to_destroy);
  world.change([&](Catalogue& c) {
    c.finish_destroy(to_destroy[0].number, false);
    return 0;
  });
  CHECK(world.look().items[0].phase == Phase::broken);
  CHECK(world.get("1") == "made2");
  CHECK(remove() == Catalogue::Removal::to_destroy);
}

TEST_CASE("--min is kept by whoever finds fewer") {
  World world(made(3, 4));
  world.live({"1"});
  world.get("1");
  const auto errands = [&] {
    return world.change([&](Catalogue& c) { return c.errands(true, world.facts); });
  };
  const std::vector<Item> spares = errands();
  CHECK(spares.size() == 2);
  CHECK(errands().empty());  // they are on their way
  world.works.progresses[spares[0].work->file] = Progress::over;
  CHECK(errands().size() == 1);  // its maker was killed
}

TEST_CASE("a removed one that is in use goes when it comes back") {
  World world(fixed({"a", "b"}));
  world.live({"1"});
  world.get("1");
  std::vector<Item> to_destroy;
  const auto remove = [&](const char* name) {
    return world.change([&](Catalogue& c) { return c.remove(name, world.facts, to_destroy); });
  };
  CHECK(remove("a") == Catalogue::Removal::marked);
  CHECK(remove("c") == Catalogue::Removal::none);
  CHECK(world.look().cap() == 2);  // its holder has a slot, and the other one is free
  CHECK(world.look().most() == 1);
  world.give_back("1");
  CHECK(handles(world.look()) == std::vector<std::string>{"b"});
  CHECK(world.look().cap() == 1);
  CHECK(remove("b") == Catalogue::Removal::gone);
}

TEST_CASE("add brings names, and takes a mark away") {
  World world(fixed({"a"}));
  world.live({"1"});
  world.get("1");
  std::vector<Item> to_destroy;
  world.change([&](Catalogue& c) { return c.remove("a", world.facts, to_destroy); });
  const auto add = [&](const char* name) {
    return world.change([&](Catalogue& c) { return c.add(name, world.facts); });
  };
  CHECK(add("a") == Catalogue::Addition::added);
  CHECK(add("a") == Catalogue::Addition::there);
  CHECK(add("b") == Catalogue::Addition::added);
  world.give_back("1");
  CHECK(handles(world.look()) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("stop marks all, refuses newcomers, and forgets everything with the last one") {
  World world(made(2, 4));
  world.live({"1"});
  world.get("1");
  world.change([&](Catalogue& c) {
    c.add("free", world.facts);
    return 0;
  });
  std::vector<Item> to_destroy;
  CHECK(world.change([&](Catalogue& c) { return c.stop(world.facts, to_destroy); }) == 1);
  REQUIRE(to_destroy.size() == 1);
  CHECK(to_destroy[0].handle == "free");
  const auto destroyed = [&](const Item& item) {
    world.change([&](Catalogue& c) {
      c.finish_destroy(item.number, true);
      return 0;
    });
  };
  destroyed(to_destroy[0]);
  CHECK(world.look().closed());
  CHECK(world.next("2").kind == Step::Kind::stopped);
  to_destroy = world.give_back("1");
  REQUIRE(to_destroy.size() == 1);
  destroyed(to_destroy[0]);
  CHECK(world.text.empty());
}

TEST_CASE("callers have to agree") {
  World world(fixed({"a", "b"}));
  const auto agree = [&](const std::optional<Definition>& wanted) {
    return world.change([&](Catalogue& c) { return c.agree(wanted, world.facts); });
  };
  SUBCASE("the order of names means nothing, and who names none takes what is there") {
    world.live({"1"});
    CHECK(agree(fixed({"b", "a"})) == Catalogue::Agreement::agreed);
    CHECK(agree(std::nullopt) == Catalogue::Agreement::agreed);
  }
  SUBCASE("while somebody holds or waits, nobody can change it") {
    world.live({"1"});
    CHECK(agree(fixed({"a"})) == Catalogue::Agreement::differs);
    world.live({});
    world.facts.waiting = 1;
    CHECK(agree(fixed({"a"})) == Catalogue::Agreement::differs);
    CHECK(handles(world.look()) == std::vector<std::string>{"a", "b"});
  }
  SUBCASE("else the newest word counts") {
    CHECK(agree(fixed({"c", "a"})) == Catalogue::Agreement::agreed);
    CHECK(handles(world.look()) == std::vector<std::string>{"c", "a"});
  }
  SUBCASE("both the list that was given and the list that add has made are right") {
    world.change([&](Catalogue& c) { return c.add("c", world.facts); });
    world.live({"1"});
    CHECK(agree(fixed({"a", "b"})) == Catalogue::Agreement::agreed);
    CHECK(agree(fixed({"a", "b", "c"})) == Catalogue::Agreement::agreed);
    CHECK(agree(fixed({"a", "c"})) == Catalogue::Agreement::differs);
  }
}

TEST_CASE("what was made is not taken for what another command would make") {
  World world(made(0, 3));
  world.live({"1", "2", "3"});
  world.get("1");
  world.get("2");
  world.get("3");
  for (const char* id : {"1", "2", "3"}) world.give_back(id);
  world.live({});
  Definition other = made(0, 2);
  const auto agree = [&] {
    return world.change([&](Catalogue& c) { return c.agree(other, world.facts); });
  };
  SUBCASE("another --create") {
    other.create = "else";
    CHECK(agree() == Catalogue::Agreement::made_otherwise);
  }
  SUBCASE("a smaller --max sends what is too much away") {
    CHECK(agree() == Catalogue::Agreement::agreed);
    const Catalogue now = world.look();
    CHECK(now.items[2].phase == Phase::destroying);
    CHECK(now.items[1].phase == Phase::ready);
  }
}

TEST_CASE("no definition, no catalogue") {
  Catalogue catalogue = Catalogue::from_text("", "key");
  CHECK(catalogue.agree(std::nullopt, {}) == Catalogue::Agreement::undefined);
  CHECK(catalogue.to_text().empty());
}

TEST_CASE("a text keeps every byte of a handle") {
  std::string handle;
  for (int byte = 1; byte < 256; ++byte)
    if (byte != '\n') handle += static_cast<char>(byte);
  Definition definition = fixed({handle});
  definition.check = "chec\xffk";
  World world(definition);
  CHECK(world.look().items[0].handle == handle);
  CHECK(world.look().definition.check == definition.check);
}

TEST_CASE("a text that makes no sense is an error of the store") {
  for (const char* text : {"{", "[]", "{}", R"({"version":2})", "\xff", "null",
                           R"({"version":1,"definition":{},"next":"x","items":[]})",
                           R"({"version":1,"definition":{},"next":1,"items":[{"number":1}]})",
                           R"({"version":1,"definition":{"from":[1]},"next":1,"items":[]})",
                           R"({"version":1,"definition":{"create":7},"next":1,"items":[]})"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Catalogue::from_text(text, "key"), StoreError);
  }
}

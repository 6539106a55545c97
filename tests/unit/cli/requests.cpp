// Command lines, read by the tables of the verbs, into requests.
#include <doctest/doctest.h>

#include "cli/parser.h"
#include "cli/run_command.h"
#include "errors.h"

using namespace cachify;
using namespace cachify::cli;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> kCommand = {"./job.sh", "a b", ""};

struct PoolRun : RunCommand {
  PoolRun() : RunCommand(store::Kind::pool) {}
};
struct LockRun : RunCommand {
  LockRun() : RunCommand(store::Kind::lock) {}
};

template <class Verb>
run::Request request_of(const std::vector<std::string>& words, const Settings& settings = {},
                        const std::vector<std::string>& command = kCommand) {
  Verb verb;
  OptionTable table;
  verb.add_options(table);
  for (const Given& given : read_options(table, words)) {
    const std::string expected = given.option->set(given.value);
    if (!expected.empty()) throw UsageError(expected);
  }
  return verb.request(settings, command);
}

run::Request pool(std::vector<std::string> words, const Settings& settings = {}) {
  words.insert(words.begin(), {"--key", "jobs", "--max", "4"});
  return request_of<PoolRun>(words, settings);
}

run::Request lock(std::vector<std::string> words, const Settings& settings = {}) {
  words.insert(words.begin(), {"--key", "jobs"});
  return request_of<LockRun>(words, settings);
}

}  // namespace

TEST_CASE("pool run without options fails at once and lasts as long as the command") {
  const run::Request request = pool({});
  CHECK(request.claim.kind == store::Kind::pool);
  CHECK(request.claim.key == "jobs");
  CHECK(request.claim.max == 4);
  CHECK(request.claim.weight == 1);
  CHECK(request.claim.priority == 0);
  CHECK_FALSE(request.claim.expiry);
  CHECK_FALSE(request.claim.shed_at);
  CHECK_FALSE(request.claim.queue_max);
  CHECK(request.claim.inherit);
  CHECK(request.command == kCommand);
  CHECK_FALSE(request.wait);
  CHECK_FALSE(request.timeout);
  CHECK_FALSE(request.conflict_exit_code);
  CHECK_FALSE(request.on_full);
  CHECK(request.on_lost == run::OnLost::warn);
  CHECK(request.kill_after == 10s);
  CHECK_FALSE(request.own_group);
}

TEST_CASE("lock run has one slot and ends the command of a lost lease") {
  const run::Request request = lock({"--shared"});
  CHECK(request.claim.kind == store::Kind::lock);
  CHECK(request.claim.max == 1);
  CHECK(request.claim.shared);
  CHECK(request.on_lost == run::OnLost::term);
  CHECK_FALSE(lock({}).claim.shared);
}

TEST_CASE("every option of pool run reaches the request") {
  const run::Request request = pool(
      {"--weight",   "2",           "--slot-exp",  "1.5",       "-w",        "-t",           "3s",
       "--priority", "-5",          "--queue-max", "0",         "--shed-at", "75%",          "-E",
       "0",          "--on-full",   "echo full",   "--on-lost", "kill",      "--kill-after", "0",
       "-g",         "--no-inherit"});
  CHECK(request.claim.weight == 2);
  CHECK(request.claim.expiry == util::Duration(1500ms));
  CHECK(request.wait);
  CHECK(request.timeout == util::Duration(3s));
  CHECK(request.claim.priority == -5);
  CHECK(request.claim.queue_max == 0);
  CHECK(request.claim.shed_at->percent == 75.0);
  CHECK(request.conflict_exit_code == 0);
  CHECK(request.on_full == "echo full");
  CHECK(request.on_lost == run::OnLost::kill);
  CHECK(request.kill_after == 0s);
  CHECK(request.own_group);
  CHECK_FALSE(request.claim.inherit);
}

TEST_CASE("options are written in all the usual ways") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"-k", "x", "-n", "4", "-w"},
        {"-kx", "-n4", "-w"},
        {"--key=x", "--max=4", "--wait"},
        {"-wkx", "-n", "4"},
        {"-wk", "x", "-n4"},
        {"-n", "9", "-k", "x", "-n4", "-w", "-w"}}) {
    const run::Request request = request_of<PoolRun>(words);
    CHECK(request.claim.key == "x");
    CHECK(request.claim.max == 4);
    CHECK(request.wait);
  }
}

TEST_CASE("a value is taken whatever it looks like") {
  CHECK(request_of<LockRun>({"--key", "--max"}).claim.key == "--max");
  CHECK(request_of<LockRun>({"-k", "-w"}).claim.key == "-w");
  CHECK(request_of<LockRun>({"--key=a=b"}).claim.key == "a=b");
  CHECK(request_of<LockRun>({"-k=a"}).claim.key == "=a");
  CHECK(request_of<LockRun>({"--key", "[a,b]"}).claim.key == "[a,b]");
  CHECK(request_of<LockRun>({"--on-full", "--key=", "--key", "x"}).on_full == "--key=");
}

TEST_CASE("an empty value is a value") {
  CHECK_THROWS_AS(request_of<LockRun>({"--key=", "x"}), UsageError);
  CHECK_THROWS_AS(request_of<LockRun>({"--key", ""}), UsageError);
  CHECK_THROWS_AS(request_of<LockRun>({"--key=", "-w"}), UsageError);
  CHECK(request_of<LockRun>({"--key", "x{a}", "--arg", "a="}).claim.key == "x");
}

TEST_CASE("--arg splits at the first = and wants a name") {
  CHECK(request_of<LockRun>({"-k{a}", "-a", "a=b=c"}).claim.key == "b=c");
  CHECK(request_of<LockRun>({"-k{a}", "-aa={}\n"}).claim.key == "{}\n");
  for (const char* text : {"", "a", "=b", "1=b", "a b=c", "a-b=c"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(request_of<LockRun>({"-kx", "-a", text}), UsageError);
  }
}

TEST_CASE("numbers out of range and with junk are refused") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--max", "0"},
                                                {"--max", "-1"},
                                                {"--max", "4x"},
                                                {"--max", ""},
                                                {"--max", "2147483648"},
                                                {"--max", "1e3"},
                                                {"--weight", "0"},
                                                {"--priority", "101"},
                                                {"--priority", "-101"},
                                                {"--queue-max", "-1"},
                                                {"-E", "256"},
                                                {"-E", "-1"},
                                                {"-E", "600"},
                                                {"--shed-at", "-1"},
                                                {"--shed-at", "101%"},
                                                {"--shed-at", "%"},
                                                {"--shed-at", "nan%"},
                                                {"--shed-at", "1e1%"},
                                                {"--slot-exp", "0"},
                                                {"--slot-exp", "-1"},
                                                {"--timeout", "-1"},
                                                {"--timeout", "forever"},
                                                {"--kill-after", "none"},
                                                {"--on-lost", "TERM"},
                                                {"--on-full", ""},
                                                {"--on-full", " \n"}}) {
    CAPTURE(words[0]);
    CAPTURE(words[1]);
    CHECK_THROWS_AS(pool(words), UsageError);
  }
}

TEST_CASE("unknown options, stray words and abbreviations are refused") {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--ke", "x"},
                                                {"--maxx=4"},
                                                {"--wai"},
                                                {"-x"},
                                                {"-wx"},
                                                {"-5"},
                                                {"x"},
                                                {""},
                                                {"-"},
                                                {"---"},
                                                {"++"},
                                                {"--wait=true"},
                                                {"--wait="},
                                                {"-w=1"},
                                                {"--KEY", "x"},
                                                {"-K", "x"},
                                                {"--slot_exp", "1"},
                                                {"--exp", "1"},
                                                {"--timeout"},
                                                {"-t"},
                                                {"-wt"}}) {
    CAPTURE(words[0]);
    CHECK_THROWS_AS(pool(words), UsageError);
  }
  CHECK_THROWS_AS(lock({"--max", "1"}), UsageError);
  CHECK_THROWS_AS(lock({"--shed-at", "1"}), UsageError);
  CHECK_THROWS_AS(lock({"--weight", "2"}), UsageError);
}

TEST_CASE("a key is needed, and for a pool only one") {
  CHECK_THROWS_AS(request_of<PoolRun>({"--max", "4"}), UsageError);
  CHECK_THROWS_AS(request_of<LockRun>({}), UsageError);
  CHECK_THROWS_AS(pool({"--key", "y"}), UsageError);
  CHECK(pool({}).keys.empty());
}

TEST_CASE("a lock takes several keys, each of them once, in the order given") {
  using Keys = std::vector<std::string>;
  CHECK(lock({}).keys.empty());
  CHECK(lock({"--key", "jobs"}).keys.empty());
  CHECK(lock({"-k", "b{x}", "-k", "jobs", "-k", "b1", "-a", "x=1", "-k", "a"}).keys ==
        Keys{"jobs", "b1", "a"});
  CHECK_THROWS_AS(lock({"-k", "{nothing}"}), UsageError);
  CHECK_THROWS_AS(lock({"-k", ""}), UsageError);
}

TEST_CASE("--replace implies waiting, and takes the time to KILL from this call") {
  CHECK_FALSE(lock({}).claim.replace);
  run::Request request = lock({"--replace", "running", "--kill-after", "2s"});
  CHECK(request.claim.replace->running);
  CHECK_FALSE(request.claim.replace->waiting);
  CHECK(request.claim.replace->kill_after == 2s);
  CHECK(request.wait);
  CHECK_FALSE(request.timeout);
  request = pool({"--replace", "both", "-t", "3s"});
  CHECK(request.claim.replace->running);
  CHECK(request.claim.replace->waiting);
  CHECK(request.claim.replace->kill_after == 10s);
  CHECK(request.timeout == util::Duration(3s));
  CHECK(lock({"--replace", "waiting"}).claim.replace->waiting);
  CHECK_FALSE(lock({"--replace", "waiting"}).claim.replace->running);
  // Who does not wait replaces nobody.
  request = lock({"--replace", "both", "-t", "0"});
  CHECK_FALSE(request.wait);
  CHECK_FALSE(request.claim.replace);
  Settings settings;
  settings.timeout = 0s;
  CHECK(lock({"--replace", "both"}, settings).wait);
  CHECK_THROWS_AS(lock({"--replace", "all"}), UsageError);
}

TEST_CASE("--max may be left out, for pools that were resized") {
  CHECK(request_of<PoolRun>({"--key", "x", "--weight", "7"}).claim.max == 0);
}

TEST_CASE("a time-out implies waiting, 0 none of it, none any length of it") {
  CHECK(pool({"-t", "5"}).wait);
  CHECK(pool({"-t", "5"}).timeout == util::Duration(5s));
  CHECK_FALSE(pool({"-t", "0"}).wait);
  CHECK_FALSE(pool({"-w", "-t", "0"}).wait);
  CHECK(pool({"-t", "none"}).wait);
  CHECK_FALSE(pool({"-t", "none"}).timeout);
  CHECK_FALSE(pool({"-t", "5", "-t", "none"}).timeout);
}

TEST_CASE("a time-out that the place sets holds for calls that give none") {
  Settings settings;
  settings.timeout = 7s;
  CHECK(pool({}, settings).wait);
  CHECK(pool({}, settings).timeout == util::Duration(7s));
  CHECK(pool({"-w"}, settings).timeout == util::Duration(7s));
  CHECK(pool({"-t", "2"}, settings).timeout == util::Duration(2s));
  CHECK_FALSE(pool({"-t", "none"}, settings).timeout);
  CHECK_FALSE(pool({"-t", "0"}, settings).wait);
  settings.timeout = 0s;
  CHECK_FALSE(pool({}, settings).wait);
  CHECK(pool({"-w"}, settings).wait);
  CHECK_FALSE(pool({"-w"}, settings).timeout);
  settings.timeout.reset();
  settings.timeout_none = true;
  CHECK(pool({}, settings).wait);
  CHECK_FALSE(pool({}, settings).timeout);
}

TEST_CASE("defaults of the place stand behind the command line") {
  Settings settings;
  settings.slot_exp = 60s;
  settings.exp = 61s;
  settings.on_lost = run::OnLost::kill;
  settings.kill_after = 3s;
  settings.conflict_exit_code = 9;
  CHECK(pool({}, settings).claim.expiry == util::Duration(60s));
  CHECK(lock({}, settings).claim.expiry == util::Duration(61s));
  CHECK(pool({"--slot-exp", "5"}, settings).claim.expiry == util::Duration(5s));
  CHECK_FALSE(pool({"--slot-exp", "none"}, settings).claim.expiry);
  CHECK(lock({}, settings).on_lost == run::OnLost::kill);
  CHECK(lock({"--on-lost", "warn"}, settings).on_lost == run::OnLost::warn);
  CHECK(pool({}, settings).kill_after == 3s);
  CHECK(pool({}, settings).conflict_exit_code == 9);
  CHECK(pool({"-E", "4"}, settings).conflict_exit_code == 4);
}

TEST_CASE("an occupancy is a number of slots or a percentage") {
  CHECK(parse_occupancy("3")->slots == 3);
  CHECK_FALSE(parse_occupancy("3")->percent);
  CHECK(parse_occupancy("0")->slots == 0);
  CHECK(parse_occupancy("12.5%")->percent == 12.5);
  CHECK(parse_occupancy("100%")->percent == 100.0);
  for (const char* text : {"", "%", "-1%", "100.1%", "inf%", "nan%", "5 %", "5%%", "0x5%", "1e1%"})
    CHECK_FALSE(parse_occupancy(text));
}

TEST_CASE("others see the command, cut to what a store keeps") {
  CHECK(pool({}).claim.who.command == "./job.sh a b ");
  CHECK(who_am_i({"", "x"}).command == " x");
  const store::Who who = who_am_i({"x", std::string(178, 'y') + "\xc3\xa9", "z"});
  CHECK(who.command == "x " + std::string(178, 'y'));
  CHECK(who.pid > 0);
  CHECK_FALSE(who.host.empty());
}

#include "run/run.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "errors.h"
#include "run/interrupts.h"
#include "run/program.h"
#include "support/fake_store.h"
#include "support/in_child.h"
#include "util/log.h"

using namespace cachify;
using namespace std::chrono_literals;
using run::Request;
using store::Outcome;
using test::FakeStore;
using test::in_child;

namespace {

Request request(std::vector<std::string> command) {
  Request made;
  made.claim.key = "jobs";
  made.claim.max = 4;
  made.command = std::move(command);
  made.kill_after = 10s;
  return made;
}

Request shell(const std::string& script) {
  return request({"sh", "-c", script});
}

FakeStore refusing(Outcome outcome) {
  FakeStore store;
  store.steps.push_back({outcome, {}});
  return store;
}

bool has_children() {
  return waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD;
}

}  // namespace

TEST_CASE("run ends with the command's code and gives the slot back once, after it was reaped") {
  const auto done = in_child([] {
    FakeStore store;
    bool reaped = false;
    store.lease.on_release = [&reaped] { reaped = !has_children(); };
    const run::Ending ending = run::run(store, shell("exit 7"));
    if (ending.signal || store.lease.released != 1 || store.lease.destroyed != 1) return 1;
    return reaped ? ending.code : 2;
  });
  CHECK(done.code() == 7);
  CHECK(done.output.empty());
}

TEST_CASE("a command that dies of a signal gives 128+n, and four of them end cachify too") {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGKILL, SIGSEGV, SIGUSR1}) {
    const bool too = signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
    const auto done = in_child([=] {
      FakeStore store;
      const auto ending =
          run::run(store, shell("ulimit -c 0; kill -" + std::to_string(signal) + " $$"));
      if (ending.signal.value_or(0) != (too ? signal : 0)) return 1;
      return ending.code;
    });
    CHECK(done.code() == 128 + signal);
  }
}

TEST_CASE("the command gets the variables of its slot, in place of those of an outer one") {
  const auto done = in_child([] {
    setenv("CACHIFY_SLOT", "outer", 1);
    FakeStore store;
    store.grant = {"an-id", 42, 3, 5};
    store.waited = 1234567us;
    return run::run(store, shell("env | grep -E '^CACHIFY_(FENCE|ID|KEY|MAX|SLOT|WAITED)=' | sort"))
        .code;
  });
  CHECK(done.output ==
        "CACHIFY_FENCE=42\nCACHIFY_ID=an-id\nCACHIFY_KEY=jobs\nCACHIFY_MAX=5\nCACHIFY_SLOT=3\n"
        "CACHIFY_WAITED=1.234\n");
}

TEST_CASE("where a store has no fence, the command does not get that of an outer slot") {
  const auto done = in_child([] {
    setenv("CACHIFY_FENCE", "7", 1);
    FakeStore store;
    store.grant = {"an-id", 0, 0, 1};
    return run::run(store, shell("echo ${CACHIFY_FENCE-none}")).code;
  });
  CHECK(done.output == "none\n");
}

TEST_CASE("each refusal has its code and its line") {
  struct Row {
    Outcome outcome;
    int code;
    const char* pool;
    const char* lock;
  };
  const Row rows[] = {
      {Outcome::full, 75, "jobs is full (max=4)", "jobs is already locked!"},
      {Outcome::queue_full, 75,
       "jobs is full (max=4), and as many callers wait as --queue-max allows (2)",
       "jobs is already locked!, and as many callers wait as --queue-max allows (2)"},
      {Outcome::closed, 75, "jobs is closed", "jobs is closed"},
      {Outcome::dismissed, 75, "jobs: dismissed from the queue", "jobs: dismissed from the queue"},
      {Outcome::timed_out, 124, "jobs: no slot became free within 2s",
       "jobs: the lock did not become free within 2s"},
  };
  for (const Row& row : rows) {
    for (const store::Kind kind : {store::Kind::pool, store::Kind::lock}) {
      Request asked = shell("echo started");
      asked.claim.kind = kind;
      asked.claim.queue_max = 2;
      asked.timeout = 2s;
      FakeStore store = refusing(row.outcome);
      const auto done = in_child([&] { return run::run(store, asked).code; });
      CHECK(done.code() == row.code);
      const std::string line = kind == store::Kind::pool ? row.pool : row.lock;
      CHECK(done.output == "cachify: " + line + "\n");
    }
  }
}

TEST_CASE("a refusal by load tells from where on; one that an ancestor causes says so") {
  Request asked = shell("echo started");
  asked.claim.shed_at = store::ShedAt{0, 75.0};
  FakeStore shedding = refusing(Outcome::shed);
  auto done = in_child([&] { return run::run(shedding, asked).code; });
  CHECK(done.code() == 75);
  CHECK(done.output == "cachify: jobs is shed from 75% of its slots in use on (max=4)\n");

  asked.claim.shed_at = store::ShedAt{3, std::nullopt};
  done = in_child([&] { return run::run(shedding, asked).code; });
  CHECK(done.output == "cachify: jobs is shed from 3 slots in use on (max=4)\n");

  asked.claim.kind = store::Kind::lock;
  FakeStore held = refusing(Outcome::held_above);
  done = in_child([&] { return run::run(held, asked).code; });
  CHECK(done.code() == 75);
  CHECK(done.output.find("can never be had") != std::string::npos);
}

TEST_CASE("-E replaces 75 and 124 only; --on-full is run with the command as its arguments") {
  for (const Outcome outcome : {Outcome::full, Outcome::timed_out, Outcome::closed}) {
    FakeStore store = refusing(outcome);
    Request asked = request({"a", "b c", "", "--"});
    asked.conflict_exit_code = 0;
    CHECK(in_child([&] { return run::run(store, asked).code; }).code() == 0);

    asked.on_full = "printf '<%s>'";
    auto done = in_child([&] { return run::run(store, asked).code; });
    CHECK(done.code() == 0);
    CHECK(done.output == "<a><b c><><-->");
    asked.on_full = "exit 9;";
    CHECK(in_child([&] { return run::run(store, asked).code; }).code() == 9);
  }
  test::FaultyStore faulty;
  Request asked = shell("echo started");
  asked.conflict_exit_code = 3;
  asked.on_full = "echo full";
  const auto done = in_child([&] {
    try {
      return run::run(faulty, asked).code;
    } catch (const StoreError& error) {
      return int{error.code()};
    }
  });
  CHECK(done.code() == 69);
  CHECK(done.output.empty());
}

TEST_CASE("--on-full starts with mask and dispositions as they were given") {
  Request asked = shell("true");
  asked.on_full = "exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status #";
  const auto mine = in_child([] {
    return run::Program({"grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"}).execute();
  });
  const auto done = in_child([&] {
    FakeStore store;
    store.steps.push_back({Outcome::timed_out, [](run::Interrupts& interrupts, auto&) {
                             run::Interrupts::Window window(interrupts, std::nullopt);
                           }});
    return run::run(store, asked).code;
  });
  CHECK(done.output == mine.output);
}

TEST_CASE("a signal while waiting ends with 128+n and leaves nothing running") {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
    const auto done = in_child([signal] {
      FakeStore store;
      store.steps.push_back({Outcome::interrupted, [signal](run::Interrupts& interrupts, auto&) {
                               run::Interrupts::Window window(interrupts, std::nullopt);
                               raise(signal);
                             }});
      Request asked = shell("echo started");
      asked.conflict_exit_code = 1;
      asked.on_full = "echo full";
      const run::Ending ending = run::run(store, asked);
      return ending.signal == signal ? ending.code : 1;
    });
    CHECK(done.code() == 128 + signal);
    CHECK(done.output.empty());
  }
}

TEST_CASE("a signal between admission and start: the slot goes back, and no command is started") {
  const auto done = in_child([] {
    FakeStore store;
    store.steps.push_back({Outcome::admitted, [](auto&, auto&) { raise(SIGTERM); }});
    // The signal stays pending here and would end us at the end of run(), as it does cachify.
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    store.lease.on_release = [&term] { sigtimedwait(&term, nullptr, nullptr); };
    const run::Ending ending = run::run(store, shell("echo started"));
    return ending.signal == SIGTERM && store.lease.released == 1 ? ending.code : 1;
  });
  CHECK(done.code() == 143);
  CHECK(done.output.empty());
}

TEST_CASE("a command that cannot be executed gives the slot back and says why") {
  for (const auto& [command, code] : {std::pair{"no-such-command", 127}, {"/", 126}, {"", 127}}) {
    FakeStore store;
    const auto done = in_child([&store, asked = request({command})] {
      const int ended = run::run(store, asked).code;
      return store.lease.released == 1 ? ended : 1;
    });
    CHECK(done.code() == code);
    CHECK(done.output.starts_with("cachify: cannot run '" + std::string(command) + "': "));
  }
}

TEST_CASE("a release that fails is told, and the command's code stands") {
  FakeStore store;
  store.lease.release_error = "the store has gone away";
  const auto done = in_child([&] { return run::run(store, shell("exit 5")).code; });
  CHECK(done.code() == 5);
  CHECK(done.output == "cachify: the store has gone away\n");
}

TEST_CASE(
    "several locks are asked for in the order of their bytes, and the command knows them all") {
  Request asked = shell("env | grep -A1 -E '^CACHIFY_(ID|KEY)='");
  asked.claim.kind = store::Kind::lock;
  asked.keys = {"b", "a"};
  FakeStore store;
  const auto done = in_child([&] {
    const int code = run::run(store, asked).code;
    const bool in_order =
        store.claims.size() == 2 && store.claims[0].key == "a" && store.claims[1].key == "b";
    return in_order && store.lease.released == 2 ? code : 99;
  });
  CHECK(done.code() == 0);
  CHECK(done.output.find("CACHIFY_KEY=b\na\n") != std::string::npos);
  CHECK(done.output.find("CACHIFY_ID=id-1\nid-1\n") != std::string::npos);
}

TEST_CASE("of several locks the earlier ones are given back when one is not to be had") {
  Request asked = shell("echo started");
  asked.claim.kind = store::Kind::lock;
  asked.keys = {"c", "b", "a"};
  for (const auto& [outcome, code] : {std::pair{Outcome::full, 75}, {Outcome::timed_out, 124}}) {
    FakeStore store;
    store.steps.push_back({Outcome::admitted, {}});
    store.steps.push_back({outcome, {}});
    const auto done = in_child([&] {
      const int ended = run::run(store, asked).code;
      return store.lease.released == 1 && store.lease.destroyed == 1 ? ended : 99;
    });
    CHECK(done.code() == code);
    CHECK(done.output.starts_with("cachify: b"));
  }
}

TEST_CASE("of several locks one that is lost while another is waited for ends it") {
  Request asked = shell("echo started");
  asked.claim.kind = store::Kind::lock;
  asked.keys = {"b", "a"};
  FakeStore store;
  store.steps.push_back({Outcome::admitted, {}});
  store.steps.push_back({Outcome::interrupted, [&store](auto&, store::WaitObserver& observer) {
                           if (!observer.go_on()) return;
                           store.lease.ticks = {store::Lease::State::taken};
                           if (observer.go_on()) throw StoreError("it goes on");
                         }});
  const auto done = in_child([&] {
    const int ended = run::run(store, asked).code;
    return store.lease.released == 1 ? ended : 99;
  });
  CHECK(done.code() == 76);
  CHECK(done.output == "cachify: a: the lock was lost or taken away before the command ran\n");
}

TEST_CASE("patience: not waiting, waiting, a deadline, and a time-out of nothing") {
  const auto patience = [](bool wait, std::optional<util::Duration> timeout) {
    FakeStore store = refusing(Outcome::closed);
    Request asked = shell("true");
    asked.wait = wait;
    asked.timeout = timeout;
    const util::Verbosity before = util::verbosity();
    util::set_verbosity(util::Verbosity::quiet);
    run::run(store, asked);
    util::set_verbosity(before);
    return store.patiences.at(0);
  };
  CHECK_FALSE(patience(false, std::nullopt).wait);
  CHECK(patience(true, std::nullopt).wait);
  CHECK_FALSE(patience(true, std::nullopt).deadline);
  CHECK_FALSE(patience(true, 0s).wait);
  const auto limited = patience(true, 1h);
  REQUIRE(limited.deadline);
  CHECK(*limited.deadline > util::monotonic_now());
  CHECK(patience(true, util::Duration::max()).deadline > limited.deadline);
}

TEST_CASE("-v explains a refusal by who holds it; a store that cannot tell changes nothing") {
  Request asked = shell("true");
  FakeStore store = refusing(Outcome::full);
  store.now.holders.resize(1);
  store.now.holders[0].who = {123, 0, "alice", "", "./job.sh"};
  store.now.holders[0].since_us = util::realtime_us();
  const auto verbose = [&] {
    util::set_verbosity(util::Verbosity::verbose);
    return run::run(store, asked).code;
  };
  auto done = in_child(verbose);
  CHECK(done.code() == 75);
  CHECK(done.output ==
        "cachify: jobs is full (max=4)\n"
        "cachify: jobs: held by pid 123 (alice) for 0s: ./job.sh\n");
  store.situation_error = "the store has gone away";
  done = in_child(verbose);
  CHECK(done.code() == 75);
  CHECK(done.output == "cachify: jobs is full (max=4)\ncachify: the store has gone away\n");
}

TEST_CASE("who waits is told at once with -v, and never with -q or without a terminal") {
  const auto after = [](util::Verbosity verbosity) {
    int result = -2;
    FakeStore store;
    store.steps.push_back({Outcome::closed, [&](auto&, store::WaitObserver& observer) {
                             const auto asked = observer.explain_after();
                             result = asked ? static_cast<int>(*asked / 1ms) : -1;
                             if (asked) observer.waiting(store.now, 2);
                           }});
    util::set_verbosity(verbosity);
    run::run(store, shell("true"));
    return result + 2;
  };
  auto done = in_child([&] { return after(util::Verbosity::verbose); });
  CHECK(done.code() == 2);
  CHECK(done.output.starts_with(
      "cachify: waiting for jobs (max=4), place 2 in the queue; held by nobody now\n"));
  CHECK(in_child([&] { return after(util::Verbosity::quiet); }).code() == 1);
  CHECK(in_child([&] { return after(util::Verbosity::normal); }).code() == 1);  // a pipe
}

TEST_CASE("SIGCHLD given ignored: the code is known, and the command gets it ignored") {
  const auto done = in_child([] {
    signal(SIGCHLD, SIG_IGN);
    FakeStore store;
    if (run::run(store, shell("exit 6")).code != 6) return 2;
    run::run(store, request({"grep", "SigIgn", "/proc/self/status"}));
    struct sigaction now {};
    sigaction(SIGCHLD, nullptr, &now);
    return now.sa_handler == SIG_IGN ? 0 : 1;
  });
  CHECK(done.code() == 0);
  const size_t tab = done.output.find('\t');
  REQUIRE(tab != std::string::npos);
  CHECK((std::stoull(done.output.substr(tab), nullptr, 16) >> (SIGCHLD - 1) & 1) == 1);
}

TEST_CASE("the descriptor that keeps the slot is inherited out of the way of a script's own") {
  const auto done = in_child([] {
    const int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    FakeStore store;
    store.lease.keep_fd = fd;
    Request asked = shell(
        "for f in /proc/$$/fd/*; do readlink \"$f\" | grep -q passwd && "
        "echo \"${f##*/}\"; done; :");
    run::run(store, asked);
    asked.claim.inherit = false;
    run::run(store, asked);
    return fcntl(fd, F_GETFD) == FD_CLOEXEC ? 0 : 1;
  });
  CHECK(done.code() == 0);
  CHECK(std::stoi(done.output) >= 10);
  CHECK(done.output.find('\n') == done.output.size() - 1);  // one line: the second run had none
}

// Leases that have to be renewed, and what becomes of the command when one is lost.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>

#include "run/run.h"
#include "support/fake_store.h"
#include "support/in_child.h"
#include "util/unique_fd.h"

using namespace cachify;
using namespace std::chrono_literals;
using run::OnLost;
using store::Lease;
using test::FakeStore;
using test::in_child;

namespace {

run::Request shell(const std::string& script, OnLost on_lost) {
  run::Request made;
  made.claim.key = "jobs";
  made.command = {"sh", "-c", script};
  made.on_lost = on_lost;
  made.kill_after = 10s;
  return made;
}

FakeStore ticking(std::deque<Lease::State> states) {
  FakeStore store;
  store.lease.tick_every = 5ms;
  store.lease.ticks = std::move(states);
  return store;
}

// A lease that changes its state as soon as the command writes to its descriptor 9: when it is
// ready for what follows, and not after some time.
class WhenReady {
 public:
  explicit WhenReady(Lease::State state) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    reading_.reset(ends[0]);
    dup2(ends[1], 9);
    close(ends[1]);
    store.lease.tick_fd = ends[0];
    store.lease.ticks = {state};
  }
  ~WhenReady() { close(9); }
  WhenReady(const WhenReady&) = delete;
  WhenReady& operator=(const WhenReady&) = delete;

  FakeStore store;

 private:
  util::UniqueFd reading_;
};

constexpr const char* kStubborn = "trap '' TERM; echo >&9; while :; do sleep 0.01; done";

}  // namespace

TEST_CASE("a lease is renewed as long as the command runs") {
  FakeStore store = ticking({});
  const auto done = in_child([&] {
    const int code = run::run(store, shell("sleep 0.3; exit 4", OnLost::term)).code;
    return store.lease.ticked >= 3 && store.lease.released == 1 ? code : 1;
  });
  CHECK(done.code() == 4);
  CHECK(done.output.empty());
}

TEST_CASE("lost with warn: told once, tried on, and the code is the command's") {
  FakeStore store = ticking({Lease::State::held, Lease::State::lost});
  const auto done = in_child([&] {
    const int code = run::run(store, shell("sleep 0.3; exit 4", OnLost::warn)).code;
    return store.lease.ticked > 2 && store.lease.released == 1 ? code : 1;
  });
  CHECK(done.code() == 4);
  CHECK(done.output == "cachify: jobs: the lease was lost; the command goes on without it\n");
}

TEST_CASE("lost with term: TERM, and 76 whatever the command makes of it") {
  WhenReady lease(Lease::State::lost);
  const auto done = in_child([&] {
    return run::run(
               lease.store,
               shell("trap 'echo got TERM; exit 0' TERM; echo >&9; while :; do sleep 0.01; done",
                     OnLost::term))
        .code;
  });
  CHECK(done.code() == 76);
  CHECK(done.output == "cachify: jobs: the lease was lost; ending the command\ngot TERM\n");
}

TEST_CASE("lost with term: KILL for who does not act on TERM in time") {
  WhenReady lease(Lease::State::lost);
  run::Request asked = shell(kStubborn, OnLost::term);
  asked.kill_after = 100ms;
  const auto done = in_child([&] {
    const run::Ending ending = run::run(lease.store, asked);
    return ending.signal ? 1 : ending.code;
  });
  CHECK(done.code() == 76);
}

TEST_CASE("lost with term: a stopped command is continued, or it could not act on TERM") {
  WhenReady lease(Lease::State::lost);
  const auto done = in_child([&] {
    return run::run(lease.store, shell("echo >&9; kill -STOP $$; exit 3", OnLost::term)).code;
  });
  CHECK(done.code() == 76);
}

TEST_CASE("lost with kill: KILL at once") {
  WhenReady lease(Lease::State::lost);
  const auto done =
      in_child([&] { return run::run(lease.store, shell(kStubborn, OnLost::kill)).code; });
  CHECK(done.code() == 76);
  CHECK(done.output == "cachify: jobs: the lease was lost; ending the command\n");
}

TEST_CASE("taken away: TERM and 76, also with warn") {
  FakeStore store = ticking({Lease::State::taken});
  const auto done = in_child(
      [&] { return run::run(store, shell("while :; do sleep 0.01; done", OnLost::warn)).code; });
  CHECK(done.code() == 76);
  CHECK(done.output == "cachify: jobs: the slot was taken away; ending the command\n");
}

TEST_CASE("with a group of its own all of the command gets the TERM") {
  WhenReady lease(Lease::State::taken);
  run::Request asked = shell(
      "trap 'wait; echo outer; exit' TERM; "
      "(trap 'echo inner; exit' TERM; echo >&9; while :; do sleep 0.01; done) & "
      "while :; do sleep 0.01; done",
      OnLost::warn);
  asked.own_group = true;
  const auto done = in_child([&] { return run::run(lease.store, asked).code; });
  CHECK(done.code() == 76);
  CHECK(done.output.find("inner\n") != std::string::npos);
  CHECK(done.output.find("outer\n") != std::string::npos);
}

TEST_CASE("a time to KILL of centuries is no overflow") {
  FakeStore store = ticking({Lease::State::taken});
  run::Request asked = shell("while :; do sleep 0.01; done", OnLost::warn);
  asked.kill_after = util::Duration::max();
  CHECK(in_child([&] { return run::run(store, asked).code; }).code() == 76);
}

TEST_CASE("where no descriptor can keep the slot, the command ends with a killed cachify") {
  for (const auto& [on_lost, signal] :
       {std::pair{OnLost::term, SIGTERM}, {OnLost::kill, SIGKILL}, {OnLost::warn, 0}}) {
    const auto done = in_child([on = on_lost] {
      FakeStore store;
      // PR_GET_PDEATHSIG is 2; sh has no way to ask, python3 has.
      run::Request asked = shell("", on);
      asked.command = {"python3", "-c",
                       "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, "
                       "ctypes.byref(n)); raise SystemExit(n.value)"};
      return run::run(store, asked).code;
    });
    CHECK(done.code() == signal);
  }
}

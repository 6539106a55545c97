// What only the file store has: kernel locks that a command keeps, and processes to be found.
#include "store/file/steering.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "errors.h"
#include "run/interrupts.h"
#include "store/file/directory.h"
#include "store/file/examine.h"
#include "store/file/look.h"
#include "store/registry.h"

using namespace cachify;
using namespace cachify::store;
using namespace std::chrono_literals;

namespace {

class Place {
 public:
  Place() {
    char pattern[] = "/tmp/cachify-steering-XXXXXX";
    path_ = ::mkdtemp(pattern);
  }
  ~Place() { std::filesystem::remove_all(path_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  const std::string& path() const { return path_; }
  std::unique_ptr<Store> open() const {
    return store::open({.url = "file:" + path_, .prefix = ""});
  }

 private:
  std::string path_;
};

bool becomes(const std::function<bool()>& predicate) {
  const auto end = util::monotonic_now() + 5s;
  while (!predicate()) {
    if (util::monotonic_now() > end) return false;
    ::usleep(1000);
  }
  return true;
}

// Whether this process, which has that signal blocked, was poked since the last call.
bool poked() {
  sigset_t poke;
  sigemptyset(&poke);
  sigaddset(&poke, run::kPokeSignal);
  const timespec at_once{};
  return ::sigtimedwait(&poke, nullptr, &at_once) == run::kPokeSignal;
}

Claim lock_of_k() {
  Claim claim;
  claim.kind = Kind::lock;
  claim.key = "k";
  claim.who.pid = ::getpid();
  return claim;
}

// A command that keeps the lock of "k" after its cachify was killed. With `deaf`, TERM does not
// end it.
class OrphanedCommand {
 public:
  OrphanedCommand(const Place& place, bool deaf) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const pid_t cachify = ::fork();
    if (cachify == 0) {
      for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::signal(signal, SIG_DFL);
      hold(place, deaf, ends[1]);
    }
    ::close(ends[1]);
    REQUIRE(::read(ends[0], &pid_, sizeof pid_) == sizeof pid_);
    ended_ = util::UniqueFd(ends[0]);  // ends with the command
    ::kill(cachify, SIGKILL);
    while (::waitpid(cachify, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ~OrphanedCommand() {
    if (!ended()) ::kill(pid_, SIGKILL);
  }
  OrphanedCommand(const OrphanedCommand&) = delete;
  OrphanedCommand& operator=(const OrphanedCommand&) = delete;

  bool ended() {
    ::fcntl(ended_.get(), F_SETFL, O_NONBLOCK);
    char byte = 0;
    return ::read(ended_.get(), &byte, 1) == 0;
  }

 private:
  [[noreturn]] static void hold(const Place& place, bool deaf, int told) {
    const auto store = place.open();
    run::Interrupts interrupts;
    WaitObserver observer;
    const auto got = store->acquire(lock_of_k(), {}, interrupts, observer);
    if (!got.lease) ::_exit(1);
    const pid_t command = ::fork();
    if (command == 0) {
      sigset_t all;
      sigfillset(&all);
      ::sigprocmask(deaf ? SIG_BLOCK : SIG_UNBLOCK, &all, nullptr);
      // As an exec leaves it.
      const int keep = ::dup(got.lease->keep_fd());
      for (int fd = 3; fd < 64; ++fd) {
        if (fd != keep && fd != told) ::close(fd);
      }
      const pid_t self = ::getpid();
      if (::write(told, &self, sizeof self) != sizeof self) ::_exit(1);
      for (;;) ::pause();
    }
    for (;;) ::pause();
  }

  pid_t pid_ = 0;
  util::UniqueFd ended_;
};

bool is_orphan(const Place& place) {
  const auto holders = place.open()->situation(Kind::lock, "k").holders;
  return holders.size() == 1 && holders[0].orphan;
}

}  // namespace

TEST_CASE("a command whose cachify was killed is ended itself") {
  const Place place;
  OrphanedCommand command(place, false);
  REQUIRE(becomes([&] { return is_orphan(place); }));
  CHECK(place.open()->terminate(Kind::lock, "k", std::nullopt, 10s).size() == 1);
  CHECK(becomes([&] { return command.ended(); }));
  CHECK(becomes([&] { return place.open()->size(Kind::lock, "k") == 0; }));
}

TEST_CASE(
    "a command whose cachify was killed, and that does not end, is killed when no time is left") {
  const Place place;
  OrphanedCommand command(place, true);
  REQUIRE(becomes([&] { return is_orphan(place); }));
  CHECK(place.open()->terminate(Kind::lock, "k", std::nullopt, 10s).size() == 1);
  CHECK(place.open()->situation(Kind::lock, "k").holders.at(0).ending);
  CHECK_FALSE(command.ended());
  CHECK(place.open()->terminate(Kind::lock, "k", std::nullopt, 0s).size() == 1);
  CHECK(becomes([&] { return command.ended(); }));
}

TEST_CASE("newest wins also over a command whose cachify was killed: TERM, then KILL") {
  for (const bool deaf : {false, true}) {
    const Place place;
    OrphanedCommand command(place, deaf);
    REQUIRE(becomes([&] { return is_orphan(place); }));
    Claim claim = lock_of_k();
    claim.replace = Replace{.running = true, .waiting = false, .kill_after = 200ms};
    run::Interrupts interrupts;
    WaitObserver observer;
    const auto start = util::monotonic_now();
    const Patience patience{.wait = true, .deadline = start + 20s};
    const auto got = place.open()->acquire(claim, patience, interrupts, observer);
    CHECK(static_cast<int>(got.outcome) == static_cast<int>(Outcome::admitted));
    CHECK(becomes([&] { return command.ended(); }));
    CHECK((util::monotonic_now() - start >= 200ms) == deaf);
    if (got.lease) got.lease->release();
  }
}

TEST_CASE("a process is signalled only while it has its lock") {
  const Place place;
  const auto directory = file::Directory::open(place.path());
  run::Interrupts interrupts;
  WaitObserver observer;
  const auto store = place.open();
  auto got = store->acquire(lock_of_k(), {}, interrupts, observer);
  REQUIRE(got.lease);
  file::StateFile state(directory, Kind::lock, "k");
  REQUIRE(state.lock(file::StateFile::Access::existing, {}) == file::StateFile::Locking::locked);
  const file::Owner owner = file::owner_of(state, 0, file::kLifeByte);
  state.unlock();
  CHECK(owner.info.process == static_cast<uint32_t>(::getpid()));
  using file::Reach;
  CHECK(file::signal_owners(state, {owner}, 0).at(0) == Reach::reached);
  file::Owner stale = owner;
  --stale.ticket;
  file::Owner unknown = owner;
  unknown.info.process = 0;
  unknown.info.pid_namespace = 1;
  const auto results = file::signal_owners(state, {stale, owner, unknown}, 0);
  CHECK(results.at(0) == Reach::gone);
  CHECK(results.at(1) == Reach::reached);
  // This process has it, and looks for others only.
  CHECK(results.at(2) == Reach::out_of_reach);
  got.lease->release();
  got.lease.reset();
  CHECK(file::signal_owners(state, {owner}, 0).at(0) == Reach::gone);
}

TEST_CASE("who changes the cap of a pool or closes it pokes its maps, and nobody else") {
  const Place place;
  run::Interrupts interrupts;  // blocks the poke
  const auto store = place.open();
  Who who;
  who.pid = 1;
  auto record = store->show_map("k", who);
  record->update({});
  CHECK(!poked());
  store->resize(Kind::pool, "k", 3);
  CHECK(poked());
  store->resize(Kind::pool, "k", std::nullopt);
  CHECK(poked());
  store->set_closed(Kind::pool, "k", true);
  CHECK(poked());
  store->resize(Kind::pool, "other", 3);
  store->set_closed(Kind::lock, "k", true);
  store->set_closed(Kind::resource, "k", true);
  CHECK(!poked());

  // A killed map has left its record, and the process that it names is another one now.
  const std::string name = place.path() + "/pool.k~m";
  const std::string saved = place.path() + "/saved";
  std::filesystem::copy_file(name, saved);
  record.reset();
  REQUIRE(!std::filesystem::exists(name));
  std::filesystem::copy_file(saved, name);
  store->resize(Kind::pool, "k", 4);
  CHECK(!poked());
}

TEST_CASE("a damaged file is named instead of being left out of the list") {
  const Place place;
  place.open()->resize(Kind::pool, "sound", 3);
  std::ofstream(place.path() + "/pool.other") << std::string(9000, 'x');
  CHECK_THROWS_WITH_AS(place.open()->list(Kind::pool), doctest::Contains("/pool.other"),
                       StoreError);
  CHECK(place.open()->list(Kind::lock).empty());
  const auto findings = place.open()->examine();
  CHECK(std::count_if(findings.begin(), findings.end(), [](const Finding& finding) {
          return finding.grade == Finding::Grade::bad &&
                 finding.text.find("/pool.other") != std::string::npos;
        }) == 1);
}

TEST_CASE("what is no state file of the prefix is not listed") {
  const Place place;
  place.open()->resize(Kind::pool, "sound", 3);
  for (const char* name : {"pool.x~1", "pool", "README", "pool.~hFFFF", "pool.%"}) {
    std::ofstream(place.path() + "/" + name) << "text";
  }
  const auto other = store::open({.url = "file:" + place.path(), .prefix = "so"});
  REQUIRE(other->list(Kind::pool).size() == 1);
  CHECK(other->list(Kind::pool)[0].key == "und");
  CHECK(store::open({.url = "file:" + place.path(), .prefix = "t"})->list(Kind::pool).empty());
}

#include "store/file/state_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "errors.h"
#include "run/interrupts.h"
#include "store/file/locks.h"
#include "store/file/sweep.h"
#include "store/registry.h"
#include "support/in_child.h"
#include "util/time.h"

using namespace cachify;
using namespace cachify::store::file;
using store::Kind;
using Access = StateFile::Access;
using Locking = StateFile::Locking;

namespace {

class Scratch {
 public:
  Scratch() {
    char pattern[] = "/tmp/cachify-unit-XXXXXX";
    path_ = ::mkdtemp(pattern);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Entry holder(uint64_t ticket, uint32_t index) {
  Entry entry{};
  entry.ticket = ticket;
  entry.state = EntryState::holding;
  entry.slot = index;
  entry.count = entry.weight = 1;
  entry.primary = index;
  return entry;
}

struct Files {
  Scratch scratch;
  Directory directory = Directory::open(scratch.path());
  std::string path = scratch.path() + "/pool.k";

  StateFile file() { return StateFile(directory, Kind::pool, "k"); }
  // Writes `count` holding entries.
  void fill(uint32_t count) {
    StateFile state = file();
    REQUIRE(state.lock(Access::create, {}) == Locking::locked);
    Table& table = state.table();
    for (uint32_t i = 0; i < count; ++i) table.set(i, holder(table.draw(0), i));
    state.commit();
  }
  uint64_t used(Access access = Access::create) {
    StateFile state = file();
    REQUIRE(state.lock(access, {}) == Locking::locked);
    return state.table().used();
  }
  void check_that_it_begins_anew() {
    CHECK(used(Access::read_only) == 0);
    CHECK(used() == 0);
    fill(3);
    CHECK(used() == 3);
  }
  void write(uint64_t place, const std::string& bytes) {
    std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(place));
    stream << bytes;
  }
};

}  // namespace

TEST_CASE("a key that never was is not made by a look") {
  Files files;
  CHECK(files.file().lock(Access::read_only, {}) == Locking::no_such_key);
  CHECK(files.file().lock(Access::existing, {}) == Locking::no_such_key);
  CHECK_FALSE(std::filesystem::exists(files.path));
}

TEST_CASE("a table of several blocks is read as it was written, and shrinks again") {
  Files files;
  for (const uint32_t count : {1U, 12U, 13U, 76U, 77U, 500U}) {
    files.fill(count);
    CHECK(files.used() == count);
    CHECK(std::filesystem::file_size(files.path) >= file_bytes(count));
    StateFile state = files.file();
    REQUIRE(state.lock(Access::create, {}) == Locking::locked);
    for (uint32_t i = 0; i < count; ++i) state.table().clear(i);
    state.commit();
    CHECK(state.table().header.high_water == 0);
  }
}

TEST_CASE("an empty file is begun, as every file is empty for a moment") {
  Files files;
  files.fill(20);
  SUBCASE("empty") {
    std::filesystem::resize_file(files.path, 0);
  }
  SUBCASE("zeros") {
    files.write(0, std::string(kPage, '\0'));
  }
  files.check_that_it_begins_anew();
}

TEST_CASE("a damaged file is refused, unless a power cut can have left it") {
  Files files;
  files.fill(20);
  SUBCASE("truncated in the header") {
    std::filesystem::resize_file(files.path, 100);
  }
  SUBCASE("truncated before its blocks") {
    std::filesystem::resize_file(files.path, kPage);
  }
  SUBCASE("a bad entry") {
    files.write(entry_offset(3) + 5, "x");
  }
  SUBCASE("a bad entry in a block") {
    files.write(entry_offset(17) + 5, "x");
  }
  SUBCASE("a wiped entry") {
    files.write(entry_offset(3), std::string(sizeof(Entry), '\0'));
  }
  SUBCASE("a bad count") {
    files.write(offsetof(Header, high_water), "\x03");
  }
  SUBCASE("a bad cap") {
    files.write(offsetof(Header, stored_max), "\x03");
  }
  for (const Access access : {Access::create, Access::read_only}) {
    CHECK_THROWS_WITH_AS(files.file().lock(access, {}), doctest::Contains("remove it when nobody"),
                         StoreError);
  }
  std::filesystem::last_write_time(files.path, std::filesystem::file_time_type::clock::now() -
                                                   std::chrono::nanoseconds(util::boottime_ns()) -
                                                   std::chrono::minutes(1));
  files.check_that_it_begins_anew();
}

TEST_CASE("a key is not deleted as idle when its header may once have said more") {
  Files files;
  files.fill(1);
  files.write(offsetof(Header, counters), "\x03");
  CHECK_FALSE(sweep(files.directory, {}));
  CHECK(std::filesystem::exists(files.path));
}

TEST_CASE("a small table needs nothing behind its head") {
  Files files;
  files.fill(kFirstEntries);
  std::filesystem::resize_file(files.path, entry_offset(kFirstEntries - 1) + sizeof(Entry));
  CHECK(files.used() == kFirstEntries);
  files.fill(20);
  CHECK(files.used() == 20);
}

TEST_CASE("a damaged file that somebody depends on is never taken for a free one") {
  Files files;
  files.fill(20);
  const int other = ::open(files.path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(other >= 0);
  uint64_t byte = 0;
  SUBCASE("a holder") {
    byte = kHoldByte + 5;
  }
  SUBCASE("a waiter") {
    byte = kWaitByte + 5;
  }
  SUBCASE("a living cachify") {
    byte = kLifeByte + 5;
  }
  lock_byte(other, byte);
  const auto check = [&] {
    for (const Access access : {Access::create, Access::read_only}) {
      StateFile state = files.file();
      // By its key: the file of a long one has no readable name.
      CHECK_THROWS_WITH_AS(state.lock(access, {}), doctest::Contains("the state file of 'k', "),
                           StoreError);
    }
  };
  files.write(entry_offset(3) + 5, "x");
  check();
  files.write(0, std::string(kPage, '\0'));
  check();
  std::filesystem::resize_file(files.path, 0);
  check();
  ::close(other);
  CHECK(files.used() == 0);
}

TEST_CASE("a file that is none of ours is left alone") {
  Files files;
  files.fill(1);
  files.write(0, "#!/bin/sh\n");
  StateFile state = files.file();
  CHECK_THROWS_AS(state.lock(Access::create, {}), StoreError);
}

TEST_CASE("pieces that a crash left without their holder are dropped") {
  Files files;
  {
    StateFile state = files.file();
    REQUIRE(state.lock(Access::create, {}) == Locking::locked);
    Entry piece = holder(state.table().draw(0), 0);
    piece.state = EntryState::extra;
    piece.primary = 0;
    state.table().set(1, piece);
    piece.primary = kFirstEntries + 1;  // was the last entry of the table
    state.table().set(2, piece);
    state.commit();
  }
  // Not taken for damage either, with somebody alive who depends on the table.
  StateFile other = files.file();
  REQUIRE(other.lock(Access::create, {}) == Locking::locked);
  lock_byte(other.fd(), kHoldByte + 1);
  other.unlock();
  CHECK(files.used() == 0);
}

TEST_CASE("a file that was deleted is opened anew") {
  Files files;
  StateFile state = files.file();
  REQUIRE(state.lock(Access::create, {}) == Locking::locked);
  state.unlock();
  std::filesystem::remove(files.path);
  REQUIRE(state.lock(Access::create, {}) == Locking::locked);
  CHECK(state.reopened());
  CHECK(std::filesystem::exists(files.path));
}

TEST_CASE("a holder behind a whole shard of extra entries is not overlooked") {
  Files files;
  constexpr uint32_t kLast = kFirstEntries + 2 * kBlockEntries;  // in shard 3
  StateFile state = files.file();
  REQUIRE(state.lock(Access::create, {}) == Locking::locked);
  Table& table = state.table();
  table.set(0, holder(table.draw(0), 0));
  for (uint32_t i = 1; i < kLast; ++i) {
    Entry piece = table.entries[0];
    piece.state = EntryState::extra;
    piece.slot = i;
    table.set(i, piece);
  }
  const uint64_t ticket = table.draw(0);
  table.set(kLast, holder(ticket, kLast));
  lock_byte(state.shard(kLast), kLifeByte + ticket);
  state.commit();
  state.unlock();
  SUBCASE("when the file is damaged") {
    files.write(entry_offset(3) + 5, "x");
    StateFile other = files.file();
    CHECK_THROWS_AS(other.lock(Access::create, {}), StoreError);
  }
  SUBCASE("when idle keys are deleted") {
    CHECK_FALSE(sweep(files.directory, {}));
    CHECK(std::filesystem::exists(files.path));
  }
}

TEST_CASE("a key with a shard that cannot be looked at is not deleted") {
  Files files;
  files.fill(3);
  std::filesystem::create_directory(files.path + "~1");
  CHECK_FALSE(sweep(files.directory, {}));
  CHECK(std::filesystem::exists(files.path));
  std::filesystem::remove(files.path + "~1");
  CHECK(sweep(files.directory, {}));
  CHECK_FALSE(std::filesystem::exists(files.path));
}

TEST_CASE("5000 holders in 79 shards are told apart with 64 descriptors") {
  Files files;
  constexpr uint32_t kHolders = 5000;
  files.fill(kHolders);
  // One open file for each shard stands for all the holders in it.
  std::vector<util::UniqueFd> shards;
  {
    StateFile state = files.file();
    REQUIRE(state.lock(Access::create, {}) == Locking::locked);
    for (uint32_t i = 0; i < kHolders; ++i) {
      if (shards.size() <= shard_of(i)) {
        const std::string path = state.path_of_shard(i);
        shards.emplace_back(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        REQUIRE(shards.back());
      }
      lock_byte(shards.back().get(), kHoldByte + state.table().entries[i].ticket);
    }
  }
  const auto ask = [&](int64_t max, util::Duration patience) {
    return test::in_child([&] {
      shards.clear();  // our copies
      const rlimit few{64, 64};
      ::setrlimit(RLIMIT_NOFILE, &few);
      const auto opened = store::open({.url = "file:" + files.scratch.path(), .prefix = ""});
      if (opened->size(Kind::pool, "k") != kHolders) return 10;
      run::Interrupts interrupts;
      store::WaitObserver observer;
      store::Claim claim;
      claim.key = "k";
      claim.max = max;
      store::Patience how;
      how.wait = patience.count() > 0;
      if (how.wait) how.deadline = util::monotonic_now() + patience;
      const auto got = opened->acquire(claim, how, interrupts, observer);
      if (got.lease) got.lease->release();
      return static_cast<int>(got.outcome);
    });
  };
  const auto check = [&](int64_t max, util::Duration patience, store::Outcome outcome) {
    const test::ChildResult child = ask(max, patience);
    CHECK_MESSAGE(child.code() == static_cast<int>(outcome), child.output);
  };
  check(kHolders, {}, store::Outcome::full);
  check(kHolders, std::chrono::milliseconds(300), store::Outcome::timed_out);
  check(kHolders + 1, {}, store::Outcome::admitted);
}

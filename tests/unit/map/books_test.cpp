#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "errors.h"
#include "map/crowd.h"
#include "map/joblog.h"
#include "map/progress.h"

using namespace cachify;
using namespace std::chrono_literals;
using map::Crowd;
using map::Joblog;

namespace {

constexpr const char* kHeader =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

struct TemporaryFile {
  char path[32] = "/tmp/cachify-unit-XXXXXX";
  TemporaryFile() { ::close(::mkstemp(path)); }
  ~TemporaryFile() { ::unlink(path); }
  void write(const std::string& text) const { std::ofstream(path) << text; }
  std::string read() const {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

std::string line(int number, int code, int signal = 0) {
  map::LogEntry entry;
  entry.number = static_cast<uint64_t>(number);
  entry.started_us = 1'700'000'000'123'456;
  entry.runtime_us = 2'500'000;
  entry.received = 12;
  entry.code = code;
  entry.signal = signal;
  entry.command = "echo x";
  return map::log_line(entry);
}

store::Who who(int32_t pid) {
  store::Who result;
  result.pid = pid;
  result.host = "here";
  return result;
}

store::Situation situation(const std::vector<int32_t>& holders,
                           const std::vector<int32_t>& waiters) {
  store::Situation result;
  result.size = static_cast<int64_t>(holders.size());
  for (const int32_t pid : holders) result.holders.emplace_back().who = who(pid);
  for (const int32_t pid : waiters) result.waiters.emplace_back().who = who(pid);
  return result;
}

bool gives_way(const std::vector<int32_t>& holders, const std::vector<int32_t>& waiters,
               int64_t cap) {
  const int64_t held = std::count(holders.begin(), holders.end(), 1);
  return map::gives_way(map::crowd_of(situation(holders, waiters), who(1), 0), cap, held);
}

}  // namespace

TEST_CASE("a line of the log has GNU parallel's columns") {
  CHECK(line(3, 0) == "3\t:\t1700000000.123\t     2.500\t0\t12\t0\t0\techo x\n");
  CHECK(line(3, 0, 9) == "3\t:\t1700000000.123\t     2.500\t0\t12\t0\t9\techo x\n");
}

TEST_CASE("what a log has is done, and its torn end is cut off") {
  const TemporaryFile file;
  const std::string whole = kHeader + line(1, 0) + line(2, 1) + line(4, 0, 15) + line(2, 0);
  file.write(whole + "5\t:\t17");
  {
    const Joblog log(file.path, Joblog::Resume::all);
    CHECK(file.read() == whole);
    for (const int number : {1, 2, 4}) CHECK(log.is_done(static_cast<uint64_t>(number)));
    for (const int number : {0, 3, 5, 100}) CHECK_FALSE(log.is_done(static_cast<uint64_t>(number)));
  }
  Joblog log(file.path, Joblog::Resume::failed);
  // The last line about an item counts.
  CHECK(log.is_done(1));
  CHECK(log.is_done(2));
  CHECK_FALSE(log.is_done(4));
  log.append(line(4, 0));
  CHECK(file.read() == whole + line(4, 0));
}

TEST_CASE("a log that cannot be gone on with") {
  const TemporaryFile file;
  file.write("something else\n");
  CHECK_THROWS_AS(Joblog(file.path, Joblog::Resume::all), UsageError);
  CHECK(file.read() == "something else\n");
  file.write("Seq\tHo");
  { const Joblog log(file.path, Joblog::Resume::all); }
  CHECK(file.read() == kHeader);
  // Somebody's text is no torn header only because its end is missing.
  for (const std::string text : {"something else", "Seq\tHo and more"}) {
    file.write(text);
    CHECK_THROWS_AS(Joblog(file.path, Joblog::Resume::all), UsageError);
    CHECK(file.read() == text);
  }
}

TEST_CASE(
    "one map at a time writes a log, and what a killed one has left behind is not in the way") {
  const TemporaryFile file;
  int told[2];
  REQUIRE(::pipe(told) == 0);
  const pid_t map = ::fork();
  if (map == 0) {
    const Joblog log(file.path, Joblog::Resume::no);
    const pid_t run = ::fork();  // has every descriptor, as before its exec
    if (run != 0 && ::write(told[1], &run, sizeof run) != sizeof run) ::_exit(1);
    for (;;) ::pause();
  }
  pid_t run = 0;
  REQUIRE(::read(told[0], &run, sizeof run) == sizeof run);
  int code = 0;
  try {
    const Joblog second(file.path, Joblog::Resume::all);
  } catch (const Error& error) {
    code = error.code();
  }
  CHECK(code == kExitFull);
  ::kill(map, SIGKILL);
  ::waitpid(map, nullptr, 0);
  CHECK_NOTHROW(Joblog(file.path, Joblog::Resume::all));
  ::kill(run, SIGKILL);
  for (const int fd : told) ::close(fd);
}

TEST_CASE("a map alone gives no slot away, and one that is not alone does") {
  CHECK_FALSE(gives_way({1, 1, 1, 1}, {}, 4));
  CHECK_FALSE(gives_way({1, 1, 1, 1}, {1}, 4));
  CHECK(gives_way({1, 1, 1, 1}, {2}, 4));
  CHECK(gives_way({1}, {2}, 1));
  // Other maps: an equal share.
  CHECK(gives_way({1, 1, 1, 2}, {2}, 4));
  CHECK_FALSE(gives_way({1, 1, 2, 2}, {2, 1}, 4));
  CHECK(gives_way({1, 1, 2, 3}, {2, 3}, 4));
  CHECK_FALSE(gives_way({1, 2, 3}, {2, 3}, 3));
  // The pool became smaller.
  CHECK(gives_way({1, 1, 1}, {}, 2));
  CHECK_FALSE(gives_way({1, 1}, {}, 2));
}

TEST_CASE("who waits with a lower priority is not given way to") {
  store::Situation now = situation({1}, {2});
  now.waiters[0].priority = -1;
  CHECK_FALSE(map::gives_way(map::crowd_of(now, who(1), 0), 1, 1));
  CHECK(map::gives_way(map::crowd_of(now, who(1), -1), 1, 1));
}

TEST_CASE("a slot that was given back counts until somebody looks again") {
  Crowd crowd = map::crowd_of(situation({1, 1, 1, 1}, {2, 3}), who(1), 0);
  map::one_given_back(crowd);
  CHECK(map::gives_way(crowd, 4, 3));
  map::one_given_back(crowd);
  CHECK_FALSE(map::gives_way(crowd, 4, 2));
}

TEST_CASE("progress tells what there is to tell, and fits") {
  map::Counts counts;
  counts.done = 12;
  counts.failed = 1;
  counts.running = 4;
  CHECK(map::progress_text(counts, 6s, 0) == "12 done, 1 failed, 4 running, 2.0/s");
  counts.total = 40;
  CHECK(map::progress_text(counts, 6s, 0) == "12 of 40 done, 1 failed, 4 running, 2.0/s, 14s left");
  counts.estimated = true;
  CHECK(
      map::progress_text(counts, 6s, 100) ==
      "[###########............................] 12 of about 40 done, 1 failed, 4 running, 2.0/s, "
      "14s left");
  CHECK(map::progress_text(counts, 6s, 20).size() == 19);
  CHECK(map::progress_text({}, 0s, 0) == "0 done, 0 failed, 0 running, 0.0/s");
}

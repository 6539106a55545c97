#include "util/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "util/unique_fd.h"

using namespace cachify::util;

namespace {

// What the call writes to standard error.
std::string captured(const std::function<void()>& call) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const UniqueFd saved(::dup(STDERR_FILENO));
  REQUIRE(::dup2(writer.get(), STDERR_FILENO) == STDERR_FILENO);
  call();
  ::dup2(saved.get(), STDERR_FILENO);
  writer.reset();
  std::string text;
  char buffer[8192];
  for (ssize_t count; (count = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  return text;
}

}  // namespace

TEST_CASE("a message is one line with its control characters escaped") {
  CHECK(captured([] { error("full\nof\ttricks\x1b[2J\r\x7f"); }) ==
        "cachify: full\\nof\\ttricks\\x1b[2J\\r\\x7f\n");
}

TEST_CASE("the second set of control characters is escaped in both of its forms") {
  CHECK(captured([] {
          error(
              "a\xc2\x9b"
              "2Jb\x9b");
        }) == "cachify: a\\xc2\\x9b2Jb\\x9b\n");
}

TEST_CASE("letters beyond ASCII pass, and so do bytes that are no UTF-8") {
  CHECK(captured([] { error("caf\xc3\xa9 \xff"); }) == "cachify: caf\xc3\xa9 \xff\n");
}

TEST_CASE("a message of any length is one line of at most 4096 bytes") {
  const std::string line = captured([] { error(std::string(10000, 'x')); });
  CHECK(line.size() <= 4096);
  CHECK(line.substr(line.size() - 5) == "x...\n");
}

TEST_CASE("verbosity decides which messages are printed") {
  const auto all = [] {
    error("e");
    message("m");
    explain("x");
  };
  const Verbosity before = verbosity();
  set_verbosity(Verbosity::quiet);
  CHECK(captured(all) == "cachify: e\n");
  set_verbosity(Verbosity::normal);
  CHECK(captured(all) == "cachify: e\ncachify: m\n");
  set_verbosity(Verbosity::verbose);
  CHECK(captured(all) == "cachify: e\ncachify: m\ncachify: x\n");
  set_verbosity(before);
}

TEST_CASE("a reader of standard error that is gone does not end the process") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  const UniqueFd writer(ends[1]);
  const UniqueFd saved(::dup(STDERR_FILENO));
  ::dup2(writer.get(), STDERR_FILENO);
  error("nobody reads this");
  ::dup2(saved.get(), STDERR_FILENO);
  CHECK(true);
}

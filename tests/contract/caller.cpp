#include "contract/caller.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "run/deadline.h"
#include "run/interrupts.h"

namespace cachify::test {
namespace {

constexpr int kPatienceMs = 30'000;

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    reading = util::UniqueFd(ends[0]);
    writing = util::UniqueFd(ends[1]);
  }
  util::UniqueFd reading;
  util::UniqueFd writing;
};

bool readable(int fd, int timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

std::string read_line(int fd) {
  std::string line;
  for (char c = 0;;) {
    if (!readable(fd, kPatienceMs)) throw std::runtime_error("a caller does not answer");
    if (::read(fd, &c, 1) != 1) throw std::runtime_error("a caller has ended without an answer");
    if (c == '\n') return line;
    line += c;
  }
}

void write_line(int fd, const std::string& text) {
  const std::string line = text + "\n";
  if (::write(fd, line.data(), line.size()) < 0) _exit(3);
}

// The process of a caller: asks, answers, waits for the word to release.
void serve(const StoreFixture& fixture, const store::Claim& claim,
           std::optional<util::Duration> patience, int from, int to) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::signal(signal, SIG_DFL);
  try {
    const auto opened = fixture.open();
    run::Interrupts interrupts;
    store::WaitObserver observer;
    store::Patience how;
    if (patience) {
      how.wait = true;
      if (*patience != util::Duration::max()) how.deadline = run::deadline_after(*patience);
    }
    store::Acquisition got = opened->acquire(claim, how, interrupts, observer);
    std::ostringstream answer;
    answer << static_cast<int>(got.outcome) << ' ' << got.waited.count() << ' ' << got.max;
    if (got.lease) {
      const store::Grant& grant = got.lease->grant();
      answer << ' ' << grant.fence << ' ' << grant.slot << ' ' << grant.max << ' ' << grant.id;
    }
    write_line(to, answer.str());
    char word = 0;
    while (::read(from, &word, 1) == 1 && word != 'r') {
    }
    if (word == 'r' && got.lease) {
      got.lease->release();
      write_line(to, "released");
      while (::read(from, &word, 1) == 1) {
      }
    }
    interrupts.command_ended();
  } catch (const std::exception& error) {
    write_line(to, std::string("error ") + error.what());
  }
  _exit(0);
}

}  // namespace

Caller::Caller(const StoreFixture& fixture, store::Claim claim,
               std::optional<util::Duration> patience) {
  Pipe answers;
  Pipe words;
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    answers.reading.reset();
    words.writing.reset();
    claim.who.pid = ::getpid();
    serve(fixture, claim, patience, words.reading.get(), answers.writing.get());
  }
  from_ = std::move(answers.reading);
  to_ = std::move(words.writing);
}

Caller::~Caller() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  wait();
}

bool Caller::answered() {
  return result_ || readable(from_.get(), 0);
}

const Caller::Result& Caller::result() {
  if (result_) return *result_;
  const std::string line = read_line(from_.get());
  result_ = Result();
  if (line.rfind("error ", 0) == 0) {
    result_->error = line.substr(std::strlen("error "));
    return *result_;
  }
  std::istringstream answer(line);
  int outcome = 0;
  int64_t waited = 0;
  int64_t max = 0;
  answer >> outcome >> waited >> max;
  result_->outcome = static_cast<store::Outcome>(outcome);
  result_->waited = util::Duration(waited);
  store::Grant& grant = result_->grant;
  answer >> grant.fence >> grant.slot >> grant.max >> grant.id;
  return *result_;
}

void Caller::release() {
  if (::write(to_.get(), "r", 1) != 1) throw std::runtime_error("a caller has ended");
  if (read_line(from_.get()) != "released") throw std::runtime_error("release failed");
}

void Caller::kill(int signal) {
  ::kill(pid_, signal);
}

void Caller::wait() {
  while (pid_ > 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace cachify::test

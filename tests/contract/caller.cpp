#include "contract/caller.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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

// Holds the slot until the word to release comes (true), calling tick() as a Supervisor does.
bool watch(store::Lease& lease, int from, int to) {
  lease.command_started();
  sigset_t poke;
  sigemptyset(&poke);
  sigaddset(&poke, run::kPokeSignal);
  const util::UniqueFd pokes(::signalfd(-1, &poke, SFD_CLOEXEC | SFD_NONBLOCK));
  for (;;) {
    std::array<pollfd, 3> fds{pollfd{from, POLLIN, 0}, pollfd{pokes.get(), POLLIN, 0},
                              pollfd{lease.tick_fd(), POLLIN, 0}};
    int timeout = -1;
    if (const auto next = lease.next_tick()) {
      const int64_t left = std::max<int64_t>(0, *next - util::boottime_ns());
      timeout = static_cast<int>(std::min<int64_t>(left / 1'000'000 + 1, kPatienceMs));
    }
    if (::poll(fds.data(), fds.size(), timeout) < 0) continue;
    signalfd_siginfo info{};
    while (::read(pokes.get(), &info, sizeof info) == sizeof info) {
    }
    if (fds[0].revents == 0) {
      const store::Lease::State state = lease.tick();
      if (state == store::Lease::State::held) continue;
      const auto kill_after = lease.kill_after();
      write_line(to, "told " + std::to_string(static_cast<int>(state)) + " " +
                         std::to_string(kill_after ? kill_after->count() : -1));
      continue;
    }
    char word = 0;
    if (::read(from, &word, 1) != 1) return false;
    if (word == 'r') return true;
  }
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
    const bool to_release = got.lease && watch(*got.lease, from, to);
    char word = 0;
    if (to_release) {
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
  std::string answer = read_line(from_.get());
  while (note_what_was_told(answer)) answer = read_line(from_.get());
  if (answer != "released") throw std::runtime_error("release failed");
}

bool Caller::note_what_was_told(const std::string& line) {
  std::istringstream words(line);
  std::string first;
  int state = 0;
  int64_t kill_after = -1;
  words >> first >> state >> kill_after;
  if (first != "told") return false;
  Told told;
  told.state = static_cast<store::Lease::State>(state);
  if (kill_after >= 0) told.kill_after = util::Duration(kill_after);
  told_.push_back(told);
  return true;
}

std::optional<Caller::Told> Caller::told(util::Duration within) {
  result();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(within).count();
  if (told_.empty() && readable(from_.get(), static_cast<int>(ms))) {
    if (!note_what_was_told(read_line(from_.get()))) throw std::runtime_error("unexpected answer");
  }
  if (told_.empty()) return std::nullopt;
  const Told first = told_.front();
  told_.pop_front();
  return first;
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

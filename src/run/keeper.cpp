// acquire: the parent prints the id and ends; the keeper, its child, holds the slot.
//
//   parent                                keeper
//   forks                                 asks for TERM when the parent dies; leaves the session,
//                                         and every descriptor but standard error
//   waits for the report, a signal,       opens the store, waits for its turn
//   the end of the owner
//                                         admitted: no TERM at the parent's death from now on;
//   <------------- the id ---------------  leaves standard error too, then reports
//   prints it
//   ------------- an octet ------------->  from now on it is the owner that counts
//   ends with 0
//
// Until the octet has come the keeper gives up when the parent's end of the socket closes. So a
// parent that dies before it sends it leaves nothing behind, and it sends it only when the id is
// out. Both ends are made before the fork: nothing can fail between them.
#include "run/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "errors.h"
#include "exit_codes.h"
#include "run/admit.h"
#include "run/interrupts.h"
#include "util/files.h"
#include "util/log.h"
#include "util/output.h"

namespace cachify::run {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr std::array kEndings{SIGTERM, SIGINT, SIGHUP, SIGQUIT};

// What the keeper tells its parent, in one message.
struct Report {
  int code = 0;
  int signal = 0;  // that the parent is to die of; 0: none
  std::array<char, 96> id{};
};

struct Ends {
  util::UniqueFd parent;
  util::UniqueFd keeper;
};

Ends make_ends() {
  std::array<int, 2> fds{};
  // Messages stay whole, and the end of one side is seen by the other.
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    throw OsError("cannot make a pair of sockets", errno);
  }
  return {util::UniqueFd(fds[0]), util::UniqueFd(fds[1])};
}

// --- the keeper ----------------------------------------------------------------------------------

void close_between(unsigned first, unsigned last) {
  if (first > last || close_range(first, last, 0) == 0) return;
  // A kernel that does not know it.
  const long most = sysconf(_SC_OPEN_MAX);
  for (unsigned fd = first; fd <= last && fd < static_cast<unsigned long>(most); ++fd) {
    close(static_cast<int>(fd));
  }
}

// Ours alone: no session, no terminal, and no descriptor that somebody could wait to see closed,
// but standard error for as long as there is something to say.
void leave_the_caller(int socket, int owner) {
  setsid();
  util::UniqueFd null = util::open_above_stdio(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
  if (!null) throw OsError("cannot open /dev/null", errno);
  dup2(null.get(), STDIN_FILENO);
  dup2(null.get(), STDOUT_FILENO);
  null.reset();
  const auto low = static_cast<unsigned>(std::min(socket, owner));
  const auto high = static_cast<unsigned>(std::max(socket, owner));
  close_between(STDERR_FILENO + 1, low - 1);
  close_between(low + 1, high - 1);
  close_between(high + 1, ~0U);
}

void leave_standard_error() {
  const util::UniqueFd null = util::open_above_stdio(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
  if (!null) throw OsError("cannot open /dev/null", errno);
  dup2(null.get(), STDERR_FILENO);
}

// The caller may ignore or block what is to end us.
void mind_signals() {
  sigset_t endings;
  sigemptyset(&endings);
  for (const int signal : kEndings) {
    ::signal(signal, SIG_DFL);
    sigaddset(&endings, signal);
  }
  sigprocmask(SIG_UNBLOCK, &endings, nullptr);
}

util::UniqueFd open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kEndings) sigaddset(&set, signal);
  sigaddset(&set, kPokeSignal);
  util::UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw OsError("cannot watch for signals", errno);
  return fd;
}

util::UniqueFd open_timer() {
  util::UniqueFd fd(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) throw OsError("cannot make a timer", errno);
  return fd;
}

// Holds a lease until it is to end.
class Keeper {
 public:
  Keeper(store::Lease& lease, const std::optional<util::Duration>& expiry, int socket, int owner)
      : lease_(lease), socket_(socket), owner_(owner), signals_(open_signals()) {
    if (expiry) end_ = util::boottime_ns() + expiry->count();
    timer_ = open_timer();
  }

  void keep() {
    while (!over_) look(sleep());
  }

 private:
  using Events = std::array<pollfd, 5>;

  Events sleep() const {
    Events events{pollfd{socket_, POLLIN, 0}, pollfd{owner_, POLLIN, 0},
                  pollfd{signals_.get(), POLLIN, 0}, pollfd{timer_.get(), POLLIN, 0},
                  pollfd{lease_.tick_fd(), POLLIN, 0}};
    std::optional<int64_t> next = lease_.next_tick();
    if (end_) next = std::min(next.value_or(*end_), *end_);
    // 0 disarms.
    const int64_t at = next ? std::max<int64_t>(*next, 1) : 0;
    const itimerspec when{{0, 0}, {at / kSecond, at % kSecond}};
    timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    if (ppoll(events.data(), events.size(), nullptr, nullptr) < 0) {
      for (pollfd& event : events) event.revents = 0;
    }
    return events;
  }

  void look(const Events& events) {
    if (events[0].revents != 0) read_confirmation();
    if (events[1].revents != 0) over_ = true;
    if (end_ && util::boottime_ns() >= *end_) over_ = true;
    signalfd_siginfo info{};
    while (events[2].revents != 0 && read(signals_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != kPokeSignal) over_ = true;
    }
    using State = store::Lease::State;
    const State state = lease_.tick();
    // A lost one tries to come back, as long as it asks to be called.
    const bool hopeless = state == State::lost && !lease_.next_tick() && lease_.tick_fd() < 0;
    if (hopeless || state == State::taken || state == State::released) over_ = true;
  }

  // The parent has printed the id, or never will.
  void read_confirmation() {
    char octet = 0;
    if (recv(socket_, &octet, 1, 0) != 1) over_ = true;
    close(std::exchange(socket_, -1));
  }

  store::Lease& lease_;
  int socket_;
  const int owner_;
  const util::UniqueFd signals_;
  util::UniqueFd timer_;
  std::optional<int64_t> end_;  // CLOCK_BOOTTIME ns
  bool over_ = false;
};

bool send_report(int socket, const Report& report) {
  return send(socket, &report, sizeof report, MSG_NOSIGNAL) == sizeof report;
}

Report report_of(const Ending& ending) {
  Report report;
  report.code = ending.code;
  report.signal = ending.signal.value_or(0);
  return report;
}

// What is to be reported when nothing is held; nothing when it was held and is over.
std::optional<Report> take_and_keep(
    const std::function<std::unique_ptr<store::Store>()>& open_store, const Request& request,
    int socket, int owner) {
  Interrupts interrupts;
  const auto store = open_store();
  Admittance admitted = admit(*store, request, interrupts);
  if (!admitted.lease) return report_of(admitted.ending);
  struct Release {
    store::Lease& lease;
    ~Release() { give_back(lease); }
  } release{*admitted.lease};
  store::Lease& lease = *admitted.lease;
  lease.command_started();

  Keeper keeper(lease, request.claim.expiry, socket, owner);
  Report report;
  const std::string& id = lease.grant().id;
  if (id.size() >= report.id.size()) throw Error(kExitInternal, "an id is too long: " + id);
  std::memcpy(report.id.data(), id.data(), id.size());
  if (chdir("/") != 0) throw OsError("cannot change to /", errno);
  leave_standard_error();
  prctl(PR_SET_PDEATHSIG, 0);
  if (send_report(socket, report)) keeper.keep();
  return std::nullopt;
}

[[noreturn]] void keeper_main(const std::function<std::unique_ptr<store::Store>()>& open_store,
                              const Request& request, int socket, int owner, pid_t parent) {
  std::optional<Report> report;
  try {
    mind_signals();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(0);  // died before it could matter
    leave_the_caller(socket, owner);
    report = take_and_keep(open_store, request, socket, owner);
  } catch (const Error& failure) {
    util::error(failure.what());
    report = Report{failure.code(), 0, {}};
  } catch (const std::exception& failure) {
    util::error(failure.what());
    report = Report{kExitInternal, 0, {}};
  }
  if (report) send_report(socket, *report);
  _exit(0);
}

// --- the parent ----------------------------------------------------------------------------------

class Parent {
 public:
  Parent(util::UniqueFd socket, pid_t keeper, const Owner& owner)
      : socket_(std::move(socket)), keeper_(keeper), owner_(owner) {}

  Ending finish() {
    Interrupts interrupts;
    const std::optional<Report> report = wait_for_report(interrupts);
    if (const auto signal = interrupts.caught()) {
      end_keeper();
      return stopped_by(*signal);
    }
    if (owner_ended_) {
      end_keeper();
      throw UsageError("the owner, pid " + std::to_string(owner_.pid) + ", has ended");
    }
    if (!report) {
      end_keeper();
      throw Error(kExitInternal, "the process that was to hold the slot has died; try again");
    }
    if (report->id[0] == '\0') {
      end_keeper();
      Ending ending{report->code, std::nullopt};
      if (report->signal != 0) ending.signal = report->signal;
      return ending;
    }
    return hand_out(report->id.data(), interrupts);
  }

 private:
  std::optional<Report> wait_for_report(Interrupts& interrupts) {
    std::array<pollfd, 2> events{pollfd{socket_.get(), POLLIN, 0},
                                 pollfd{owner_.end.get(), POLLIN, 0}};
    while (!interrupts.caught()) {
      if (ppoll(events.data(), events.size(), nullptr, &interrupts.wait_mask()) < 0) continue;
      owner_ended_ = events[1].revents != 0;
      if (owner_ended_) return std::nullopt;
      Report report;
      if (events[0].revents == 0) continue;
      if (recv(socket_.get(), &report, sizeof report, 0) != sizeof report) return std::nullopt;
      return report;
    }
    return std::nullopt;
  }

  Ending hand_out(const char* id, Interrupts& interrupts) {
    try {
      util::write_output(std::string(id) + "\n");
    } catch (const Error&) {
      end_keeper();
      throw;
    }
    if (const auto signal = interrupts.caught()) {
      end_keeper();
      return stopped_by(*signal);
    }
    const char octet = 0;
    if (send(socket_.get(), &octet, 1, MSG_NOSIGNAL) != 1) {
      end_keeper();
      throw Error(kExitInternal, "the process that was to hold the slot has died; try again");
    }
    // It is held now: a signal that comes later does not change that any more.
    interrupts.command_ended();
    return {};
  }

  // Returns when it holds and waits for nothing any more.
  void end_keeper() {
    socket_.reset();
    kill(keeper_, SIGTERM);
    while (waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  util::UniqueFd socket_;
  const pid_t keeper_;
  const Owner& owner_;
  bool owner_ended_ = false;
};

}  // namespace

Ending acquire(const std::function<std::unique_ptr<store::Store>()>& open_store,
               const Request& request, const Owner& owner) {
  // Were it ignored, the keeper would be reaped, and its number could become another's.
  signal(SIGCHLD, SIG_DFL);
  Ends ends = make_ends();
  const pid_t parent = getpid();
  const pid_t keeper = fork();
  if (keeper < 0) throw OsError("cannot start a process", errno);
  if (keeper == 0) {
    ends.parent.reset();
    keeper_main(open_store, request, ends.keeper.get(), owner.end.get(), parent);
  }
  ends.keeper.reset();
  return Parent(std::move(ends.parent), keeper, owner).finish();
}

}  // namespace cachify::run

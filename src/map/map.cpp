#include "map/map.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <memory>

#include "errors.h"
#include "exit_codes.h"
#include "map/output.h"
#include "map/progress.h"
#include "map/runs.h"
#include "run/deadline.h"
#include "run/explain.h"
#include "run/interrupts.h"
#include "run/program.h"
#include "util/log.h"
#include "util/output.h"

namespace cachify::map {

namespace {

using run::Ending;
using run::Interrupts;
using std::chrono::milliseconds;
using std::chrono::seconds;
using store::Outcome;
using util::MonotonicTime;

constexpr int kExitSomeFailed = 123;  // as of xargs
// The code in the log of an item that could not be run at all.
constexpr int kCodeNotRun = kExitNotExecutable;

// An idle slot stays for the next line of a slow input so long, unless somebody waits for it.
constexpr util::Duration kLinger = milliseconds(50);
// Who has every slot there is looks so often whether there are more now.
constexpr util::Duration kGrowthLook = milliseconds(500);
// After a store that could not be asked, or a pool that is closed.
constexpr util::Duration kPause = seconds(1);

// Ends what is only worth waiting for as long as nothing else has an earlier end.
class Earliest {
 public:
  void add(std::optional<MonotonicTime> time) {
    if (time && (!time_ || *time < *time_)) time_ = time;
  }
  std::optional<MonotonicTime> get() const { return time_; }

 private:
  std::optional<MonotonicTime> time_;
};

int wait_for(std::vector<pollfd>& fds, std::optional<MonotonicTime> until, const sigset_t& mask) {
  timespec timeout{};
  if (until) {
    const int64_t ns = std::max<int64_t>((*until - util::monotonic_now()).count(), 0);
    timeout = {ns / 1'000'000'000, ns % 1'000'000'000};
  }
  return ::ppoll(fds.data(), fds.size(), until ? &timeout : nullptr, &mask);
}

class Map : public run::WaitExplainer {
 public:
  Map(store::Store& store, const Request& request);
  Ending run();

  // The store calls these while we wait for a slot.
  std::optional<util::Duration> explain_after() const override;
  bool go_on() override;
  std::optional<int64_t> next_look() const override;

 private:
  enum class Phase { working, draining, ending };  // draining: nothing is started any more

  bool begin();
  void loop();
  void step();
  void tend();
  void show();
  void heed_signals();
  void heed_leases();
  void heed_clocks();
  void suspend();
  void read_input();
  void reap();
  void settle(Run& run);
  void deliver(Run& run);
  void conclude(const Item& item, util::UniqueFd out, util::UniqueFd err, const LogEntry& entry,
                int code);
  void start_runs();
  bool start(Item item, Slot& slot);
  void fail_alone(const Item& item, const std::string& why, int code);
  void drop_slots();
  bool drops(const Slot& slot);
  bool wants_slot() const;
  void take_slot();
  void refused(const store::Acquisition& acquisition);
  bool has_news() const;
  void sleep();
  bool wait_writable(int fd);
  std::optional<MonotonicTime> next_deed() const;
  void stop(Phase phase);
  void stop_with(int code, const std::string& text);
  void failed(std::exception_ptr error);
  void say(const std::string& text);
  Counts counts() const;
  Ending ending() const;
  bool done() const;

  store::Store& store_;
  const Request& request_;
  Interrupts interrupts_;
  Joblog joblog_;
  Output output_;
  Feed feed_;
  std::optional<Results> results_;
  Slots slots_;
  Runs runs_;
  Progress progress_;
  std::unique_ptr<store::MapRecord> record_;  // nullptr: the store shows none
  util::UniqueFd lease_timer_;  // CLOCK_BOOTTIME: ppoll's time-outs stand still while we sleep

  Phase phase_ = Phase::working;
  int stops_ = 0;              // signals that asked us to stop, and that we have heeded
  std::optional<int> signal_;  // the first of them
  std::optional<int> code_;    // instead of 0 and 123
  std::exception_ptr error_;   // instead of a code
  std::vector<Run> ended_;     // reaped, output not handed over yet
  bool leaves_queue_ = false;  // what is to be done next cannot be done while we queue
  bool crowded_out_ = false;   // no process or descriptor could be had until a run ends
  std::optional<MonotonicTime> not_before_;    // for the next attempt at a slot
  std::optional<MonotonicTime> without_slot_;  // since when
  std::optional<MonotonicTime> idle_since_;    // without an item, reading
  std::optional<MonotonicTime> total_end_;
  int64_t done_ = 0;
  int64_t failed_ = 0;
};

Map::Map(store::Store& store, const Request& request)
    : WaitExplainer(request.claim),
      store_(store),
      request_(request),
      joblog_(request.joblog ? Joblog(*request.joblog, request.resume) : Joblog()),
      output_(request.keep_order, request.tag,
              {[this](int fd) { return wait_writable(fd); },
               [this](const std::string& line) { joblog_.append(line); },
               [this] { progress_.hide(); }}),
      feed_(request, {[this](uint64_t number) { return joblog_.is_done(number); },
                      [this](uint64_t number) { output_.skip(number); }}),
      slots_(store, request.claim),
      runs_(request, interrupts_),
      progress_(request.progress ? Progress::Wish::always : Progress::Wish::by_default) {
  interrupts_.also_wake_on({SIGCHLD, SIGUSR1, SIGUSR2, SIGTSTP});
  interrupts_.keep_out_sigpipe();
  if (request.results) results_.emplace(*request.results);
  record_ = store.show_map(request.claim.key, request.claim.who);
  if (request.total_timeout) total_end_ = run::deadline_after(*request.total_timeout);
}

Ending Map::run() {
  try {
    if (begin()) loop();
  } catch (...) {
    failed(std::current_exception());
    loop();
  }
  try {
    output_.finish();
  } catch (...) {
    failed(std::current_exception());
  }
  progress_.finish(counts());
  if (error_) std::rethrow_exception(error_);
  return ending();
}

// False: a signal or the end of all time came before the first item.
bool Map::begin() {
  if (!request_.strict) return true;
  const bool read = feed_.rehearse([this](int fd) {
    heed_signals();
    heed_clocks();
    if (phase_ != Phase::working) return false;
    std::vector<pollfd> fds{{fd, POLLIN, 0}};
    wait_for(fds, total_end_, interrupts_.wait_mask());
    heed_signals();
    heed_clocks();
    return phase_ == Phase::working;
  });
  if (!read) stop(Phase::draining);
  return read;
}

void Map::loop() {
  for (;;) {
    try {
      step();
      drop_slots();
      leaves_queue_ = false;
      if (done()) return;
      if (wants_slot()) {
        take_slot();
      } else if (ended_.empty()) {
        sleep();
      }
    } catch (...) {
      failed(std::current_exception());
    }
  }
}

bool Map::done() const {
  return runs_.running().empty() && ended_.empty() &&
         (phase_ != Phase::working || feed_.finished());
}

// All that can be done at once, in the order in which others wait for it: runs that have ended make
// room for the next ones, and only then their output is handed over.
void Map::step() {
  tend();
  reap();
  read_input();
  start_runs();
  std::vector<Run> ended;
  std::swap(ended, ended_);
  for (Run& run : ended) {
    try {
      deliver(run);
    } catch (...) {
      failed(std::current_exception());
    }
  }
  if (output_.reader_gone() && !code_ && phase_ != Phase::ending) {
    // As if we had died of it, but tidily.
    signal_ = signal_.value_or(SIGPIPE);
    stop(Phase::ending);
  }
  if (progress_.shown()) progress_.update(counts());
  show();
}

void Map::show() {
  if (!record_) return;
  store::MapFigures figures;
  figures.queued = static_cast<int64_t>(feed_.pending_count());
  figures.running = static_cast<int64_t>(runs_.running().size());
  figures.done = done_;
  figures.failed = failed_;
  figures.idle = std::count_if(slots_.all().begin(), slots_.all().end(),
                               [](const auto& slot) { return !slot->busy; });
  record_->update(figures);
}

// What cannot wait, also while nobody reads our output.
void Map::tend() {
  heed_signals();
  heed_leases();
  heed_clocks();
  runs_.kill_overdue();
}

void Map::heed_signals() {
  const int stops = Interrupts::stops();
  if (stops > stops_) {
    if (!signal_) signal_ = interrupts_.caught();
    stop(stops == 1 ? Phase::draining : Phase::ending);
    if (stops_ == 0 && stops == 1 && !runs_.running().empty()) {
      say("stopping: no more items are started; a second signal ends the running ones");
    }
    stops_ = stops;
  }
  for (const int signal : {SIGUSR1, SIGUSR2}) {
    if (Interrupts::take(signal)) runs_.send_all(signal);
  }
  if (Interrupts::take(SIGTSTP)) suspend();
}

// ^Z: the runs do not get it from the terminal, being in groups of their own.
void Map::suspend() {
  progress_.hide();
  runs_.send_all(SIGTSTP);
  interrupts_.stop_self(SIGTSTP);
  runs_.send_all(SIGCONT);
}

void Map::heed_leases() {
  const bool poked = Interrupts::take(run::kPokeSignal);
  for (const Slots::Change& change : slots_.tick(poked)) {
    Run* const run = runs_.in(*change.slot);
    if (run == nullptr) continue;
    const std::string what =
        request_.claim.key + ": item " + std::to_string(run->item.number) + ": the ";
    using State = store::Lease::State;
    if (change.state == State::taken) {
      say(what + "slot was taken away; ending the command");
      run->taken = true;
      runs_.end(*run, change.slot->lease->kill_after().value_or(request_.kill_after), SIGTERM);
    } else if (change.state == State::released) {
      util::explain(what + "slot was given back by somebody; the command goes on without it");
    } else if (request_.on_lost == run::OnLost::warn) {
      progress_.hide();
      util::error(what + "lease was lost; the command goes on without it");
    } else {
      progress_.hide();
      util::error(what + "lease was lost; ending the command");
      run->taken = true;
      const bool kill = request_.on_lost == run::OnLost::kill;
      runs_.end(*run, request_.kill_after, kill ? SIGKILL : SIGTERM);
    }
  }
}

void Map::heed_clocks() {
  const MonotonicTime now = util::monotonic_now();
  if (total_end_ && now >= *total_end_) {
    total_end_.reset();
    stop_with(kExitTimeout,
              request_.claim.key + ": not done within " + run::span_text(*request_.total_timeout));
    stop(Phase::ending);
  }
}

void Map::read_input() {
  // A regular file or a burst of lines: as much as is wanted, but with a look at the rest
  // meanwhile.
  const int fd = phase_ == Phase::working ? feed_.wants() : -1;
  if (fd < 0) {
    idle_since_.reset();
    return;
  }
  if (!idle_since_) idle_since_ = util::monotonic_now();
  pollfd readable{fd, POLLIN, 0};
  if (::poll(&readable, 1, 0) <= 0) {
    if (!request_.idle_timeout) return;
    if (util::monotonic_now() < *idle_since_ + *request_.idle_timeout) return;
    idle_since_.reset();
    feed_.stop_reading();
    util::explain(request_.claim.key + ": no item came within " +
                  run::span_text(*request_.idle_timeout));
    return;
  }
  const size_t before = feed_.pending_count();
  feed_.read();
  if (feed_.pending_count() > before) idle_since_.reset();
}

void Map::reap() {
  Interrupts::take(SIGCHLD);
  for (Run& run : runs_.reap()) {
    run.slot->busy = false;
    run.slot->idle_since = util::monotonic_now();
    if (request_.claim.expiry) run.slot->spent = true;
    run.slot = nullptr;
    crowded_out_ = false;
    settle(run);
    ended_.push_back(std::move(run));
  }
}

// Decides what follows from the end of a run, before anything else is started.
void Map::settle(Run& run) {
  if (!run.failed()) return;
  if (phase_ == Phase::working && run.item.tries < request_.retries) {
    util::explain("item " + std::to_string(run.item.number) + " failed; trying again");
    ++run.item.tries;
    feed_.again(run.item);
    run.item.number = 0;  // nothing to deliver
    return;
  }
  ++failed_;
  if (request_.halt != Halt::never) {
    stop(request_.halt == Halt::now ? Phase::ending : Phase::draining);
  }
}

void Map::deliver(Run& run) {
  if (run.item.number == 0) return;
  ++done_;
  LogEntry entry;
  entry.number = run.item.number;
  entry.started_us = run.started_us;
  entry.runtime_us = (run.ended - run.started).count() / 1000;
  entry.received = spool_size(run.out.get());
  entry.code = run.taken ? kExitLost : run.code;
  entry.signal = run.signal;
  entry.command = std::move(run.command);
  const int code = run.signal != 0 ? kExitSignalBase + run.signal : run.code;
  if (run.failed()) {
    util::explain("item " + std::to_string(run.item.number) + " failed with " +
                  std::to_string(code));
  }
  conclude(run.item, std::move(run.out), std::move(run.err), entry, run.taken ? kExitLost : code);
}

void Map::conclude(const Item& item, util::UniqueFd out, util::UniqueFd err, const LogEntry& entry,
                   int code) {
  if (results_) {
    results_->write(item.number, "item", item.text);
    results_->write(item.number, "exit", std::to_string(code));
  }
  Result result;
  result.number = item.number;
  if (request_.tag) result.tag = item.text + '\t';
  result.out = std::move(out);
  result.err = std::move(err);
  if (request_.joblog) result.log = log_line(entry);
  output_.hand_over(std::move(result));
}

void Map::start_runs() {
  while (phase_ == Phase::working && !crowded_out_ && feed_.pending()) {
    Slot* slot = slots_.idle();
    while (slot != nullptr && drops(*slot)) {
      leaves_queue_ = true;
      slot->spent = true;
      slot = slots_.idle();
    }
    if (slot == nullptr || !start(feed_.take(), *slot)) return;
  }
}

// False: nothing more is to be started now.
bool Map::start(Item item, Slot& slot) {
  // A signal that has come meanwhile, blocked: nothing is started after it.
  if (interrupts_.caught()) {
    feed_.put_back(std::move(item));
    return false;
  }
  Run run;
  run.item = std::move(item);
  run.slot = &slot;
  try {
    const auto refusal = runs_.start(run, feed_);
    if (!refusal) {
      if (!slot.used) slot.lease->command_started();
      slot.used = slot.busy = true;
      runs_.add(std::move(run));
      return true;
    }
    const int code = run::exec_failure_code(refusal->error);
    const std::string text = run::exec_failure_text(refusal->command, refusal->error);
    if (refusal->error == E2BIG) {
      fail_alone(run.item, "is too long to execute", kCodeNotRun);
    } else if (feed_.command().program_varies()) {
      fail_alone(run.item, text, code);
    } else {
      progress_.hide();
      util::error(text);
      code_ = code;
      stop(Phase::draining);
      return false;
    }
  } catch (const Unreadable& problem) {
    fail_alone(run.item, problem.what(), kCodeNotRun);
  } catch (const OsError&) {
    // Of processes and descriptors there are more when a run has ended.
    if (runs_.running().empty()) throw;
    crowded_out_ = true;
    feed_.put_back(std::move(run.item));
    return false;
  }
  return true;
}

void Map::fail_alone(const Item& item, const std::string& why, int code) {
  progress_.hide();
  util::error("item " + std::to_string(item.number) + (why.starts_with("cannot") ? ": " : " ") +
              why);
  ++failed_;
  ++done_;
  LogEntry entry;
  entry.number = item.number;
  entry.started_us = util::realtime_us();
  entry.code = code;
  entry.command = item.too_long ? "" : shell_quoted(item.text.substr(0, 4096));
  conclude(item, {}, {}, entry, code);
  if (request_.halt != Halt::never) {
    stop(request_.halt == Halt::now ? Phase::ending : Phase::draining);
  }
}

// Whether an idle slot is better given back than used for the next item.
bool Map::drops(const Slot& slot) {
  if (!slot.used || slots_.held() <= request_.reserve) return false;
  Crowd* const crowd = slots_.crowd();
  if (crowd == nullptr || !gives_way(*crowd, slots_.cap(), slots_.held())) return false;
  one_given_back(*crowd);
  return true;
}

// Gives back what is spent, and what is idle without need.
void Map::drop_slots() {
  const MonotonicTime now = util::monotonic_now();
  std::vector<Slot*> dropped;
  int64_t left = slots_.held();
  for (const auto& slot : slots_.all()) {
    if (slot->busy) continue;
    bool drop = slot->spent;
    if (!drop && left > request_.reserve) {
      const bool over = phase_ != Phase::working || feed_.finished();
      drop = over || (!feed_.pending() && now >= slot->idle_since + kLinger);
    }
    if (!drop) continue;
    --left;
    dropped.push_back(slot.get());
  }
  for (Slot* slot : dropped) slots_.give_back(*slot);
}

bool Map::wants_slot() const {
  if (phase_ != Phase::working || leaves_queue_ || crowded_out_ || feed_.finished()) return false;
  if (not_before_ && util::monotonic_now() < *not_before_) return false;
  if (slots_.held() < request_.reserve) return true;
  if (!feed_.pending()) return false;
  for (const auto& slot : slots_.all()) {
    if (!slot->busy) return false;
  }
  // A slot more than there are cannot be had; sleep() looks now and then whether that has changed.
  return slots_.held() == 0 || slots_.held() < slots_.cap();
}

std::optional<util::Duration> Map::explain_after() const {
  if (slots_.held() > 0) return std::nullopt;
  return WaitExplainer::explain_after();
}

void Map::take_slot() {
  not_before_.reset();
  const bool have_none = slots_.held() == 0;
  if (have_none && !without_slot_) without_slot_ = util::monotonic_now();
  store::Patience patience;
  patience.wait = request_.wait;
  if (have_none && request_.timeout) patience.deadline = *without_slot_ + *request_.timeout;
  store::Acquisition acquisition;
  try {
    acquisition = store_.acquire(request_.claim, patience, interrupts_, *this);
  } catch (const StoreError& error) {
    // Who has slots goes on with them.
    if (slots_.held() == 0) throw;
    say(error.what());
    not_before_ = util::monotonic_now() + kPause;
    return;
  }
  if (acquisition.outcome == Outcome::admitted) {
    without_slot_.reset();
    slots_.add(std::move(acquisition));
  } else if (acquisition.outcome == Outcome::interrupted) {
    // The signal may still be pending; it is caught by being let through.
    std::vector<pollfd> none;
    wait_for(none, util::monotonic_now(), interrupts_.wait_mask());
  } else {
    refused(acquisition);
  }
}

void Map::refused(const store::Acquisition& acquisition) {
  const bool goes_on = slots_.held() > 0 && (acquisition.outcome == Outcome::full ||
                                             acquisition.outcome == Outcome::queue_full ||
                                             acquisition.outcome == Outcome::closed);
  if (goes_on) {
    not_before_ =
        util::monotonic_now() + (acquisition.outcome == Outcome::closed ? kPause : kGrowthLook);
    return;
  }
  const int code = acquisition.outcome == Outcome::timed_out ? kExitTimeout : kExitFull;
  stop_with(request_.conflict_exit_code.value_or(code),
            run::refusal_text(request_.claim, request_.timeout, acquisition));
}

// The store's sleep has ended while we queue for one more slot.
bool Map::go_on() {
  try {
    step();
  } catch (...) {
    failed(std::current_exception());
  }
  if (leaves_queue_ || !wants_slot() || !ended_.empty()) return false;
  return std::none_of(slots_.all().begin(), slots_.all().end(),
                      [](const auto& slot) { return !slot->busy && slot->spent; });
}

std::optional<int64_t> Map::next_look() const {
  if (has_news()) return util::boottime_ns();
  Earliest earliest;
  earliest.add(next_deed());
  earliest.add(slots_.next_blind_tick());
  // For --reserve: nothing tells while we queue that there is something to read.
  if (!feed_.pending() && feed_.wants() >= 0) earliest.add(util::monotonic_now() + kLinger);
  if (!earliest.get()) return std::nullopt;
  return util::boottime_ns() + (*earliest.get() - util::monotonic_now()).count();
}

std::optional<MonotonicTime> Map::next_deed() const {
  Earliest earliest;
  earliest.add(runs_.next_kill());
  earliest.add(total_end_);
  earliest.add(progress_.next_update());
  if (record_) earliest.add(record_->next_update());
  earliest.add(not_before_);
  if (request_.idle_timeout && idle_since_) earliest.add(*idle_since_ + *request_.idle_timeout);
  if (phase_ != Phase::working) return earliest.get();
  if (slots_.held() > request_.reserve && !feed_.pending()) {
    for (const auto& slot : slots_.all()) {
      if (!slot->busy) earliest.add(slot->idle_since + kLinger);
    }
  }
  return earliest.get();
}

// A signal that came in some other wait (for a mutex, for a reader of our output) ends no more.
bool Map::has_news() const {
  return Interrupts::any_to_take() || Interrupts::stops() > stops_;
}

void Map::sleep() {
  if (has_news()) return;
  Earliest earliest;
  earliest.add(next_deed());
  earliest.add(slots_.next_tick());
  const bool has_all = phase_ == Phase::working && feed_.pending() && slots_.held() > 0;
  if (has_all) earliest.add(std::max(slots_.next_look(), util::monotonic_now() + kGrowthLook));
  std::vector<pollfd> fds;
  slots_.add_descriptors(fds);
  const int input = phase_ == Phase::working ? feed_.wants() : -1;
  if (input >= 0) fds.push_back({input, POLLIN, 0});
  if (const auto next = slots_.next_tick()) {
    // The same end by the clock that goes on while the machine sleeps.
    if (!lease_timer_)
      lease_timer_.reset(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
    const int64_t ns =
        std::max<int64_t>(util::boottime_ns() + (*next - util::monotonic_now()).count(), 1);
    const itimerspec when{{0, 0}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    ::timerfd_settime(lease_timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    fds.push_back({lease_timer_.get(), POLLIN, 0});
  }
  const int woken = wait_for(fds, earliest.get(), interrupts_.wait_mask());
  if (woken == 0 && has_all) slots_.crowd();
}

// Nobody reads our output now. Nothing is started and no output is handed over until somebody does;
// all else goes on. False: stop waiting for that.
bool Map::wait_writable(int fd) {
  for (;;) {
    tend();
    show();
    if (phase_ == Phase::ending && runs_.running().empty()) return false;
    if (stops_ > 1 || (code_ == kExitTimeout && phase_ == Phase::ending)) return false;
    Earliest earliest;
    earliest.add(runs_.next_kill());
    earliest.add(total_end_);
    earliest.add(slots_.next_tick());
    if (record_) earliest.add(record_->next_update());
    std::vector<pollfd> fds{{fd, POLLOUT, 0}};
    slots_.add_descriptors(fds);
    if (wait_for(fds, earliest.get(), interrupts_.wait_mask()) > 0 && fds.front().revents != 0) {
      return true;
    }
  }
}

void Map::stop(Phase phase) {
  if (phase <= phase_) return;
  phase_ = phase;
  feed_.stop();
  if (phase == Phase::ending) runs_.end_all(request_.kill_after);
}

void Map::stop_with(int code, const std::string& text) {
  if (phase_ != Phase::working) return;
  say(text);
  code_ = code;
  stop(Phase::draining);
}

void Map::failed(std::exception_ptr error) {
  if (!error_) error_ = std::move(error);
  stop(Phase::ending);
}

void Map::say(const std::string& text) {
  progress_.hide();
  util::message(text);
}

Counts Map::counts() const {
  Counts counts;
  counts.done = done_;
  counts.failed = failed_;
  counts.running = static_cast<int64_t>(runs_.running().size());
  counts.total = feed_.total();
  if (counts.total) *counts.total -= static_cast<int64_t>(feed_.skipped());
  counts.estimated = feed_.total_is_a_guess();
  return counts;
}

Ending Map::ending() const {
  if (signal_) return {kExitSignalBase + *signal_, signal_};
  if (code_) return {*code_, std::nullopt};
  return {failed_ > 0 ? kExitSomeFailed : kExitOk, std::nullopt};
}

}  // namespace

run::Ending map(store::Store& store, const Request& request) {
  return Map(store, request).run();
}

run::Ending show_commands(const Request& request) {
  const Joblog joblog = request.joblog && request.resume != Joblog::Resume::no
                            ? Joblog(*request.joblog, request.resume)
                            : Joblog();
  Feed feed(request,
            {[&joblog](uint64_t number) { return joblog.is_done(number); }, [](uint64_t) {}});
  const auto wait = [](int fd) {
    pollfd readable{fd, POLLIN, 0};
    return ::poll(&readable, 1, -1) >= 0;
  };
  if (request.strict) feed.rehearse(wait);
  bool failed = false;
  while (!feed.finished()) {
    if (!feed.pending()) {
      wait(feed.wants());
      feed.read();
      continue;
    }
    const Item item = feed.take();
    try {
      const Row row = feed.row_of(item);
      util::write_output(shell_quoted(feed.command().fill(item.text, item.number, 0, row)) + '\n');
    } catch (const Unreadable& problem) {
      util::error("item " + std::to_string(item.number) + " " + problem.what());
      failed = true;
    }
  }
  return {failed ? kExitSomeFailed : kExitOk, std::nullopt};
}

}  // namespace cachify::map

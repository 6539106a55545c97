#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "map/feed.h"
#include "map/joblog.h"
#include "map/output.h"
#include "map/progress.h"
#include "map/request.h"
#include "map/runs.h"
#include "map/slots.h"
#include "run/explain.h"
#include "run/interrupts.h"
#include "run/run.h"
#include "store/store.h"
#include "util/time.h"
#include "util/unique_fd.h"

namespace cachify::map {

// An idle slot stays for the next line of a slow input so long, unless somebody waits for it.
inline constexpr util::Duration kLinger = std::chrono::milliseconds(50);

// The loop of a map: what to do next, and what to sleep on. One object for one call; its parts,
// which know nothing of it, are in files of their own, and its methods in loop_*.cpp, by their job.
class Loop : public run::WaitExplainer {
 public:
  Loop(store::Store& store, const Request& request);
  run::Ending run();

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
  int64_t reserve() const;
  bool wants_slot() const;
  void take_slot();
  void refused(const store::Acquisition& acquisition);
  bool has_news() const;
  void sleep();
  bool wait_writable(int fd);
  std::optional<util::MonotonicTime> next_deed() const;
  void stop(Phase phase);
  void stop_with(int code, const std::string& text);
  void failed(std::exception_ptr error);
  void say(const std::string& text);
  Counts counts() const;
  run::Ending ending() const;
  bool done() const;

  store::Store& store_;
  const Request& request_;
  run::Interrupts interrupts_;
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
  std::optional<util::MonotonicTime> not_before_;    // for the next attempt at a slot
  std::optional<util::MonotonicTime> without_slot_;  // since when
  std::optional<util::MonotonicTime> idle_since_;    // without an item, reading
  std::optional<util::MonotonicTime> total_end_;
  int64_t done_ = 0;
  int64_t failed_ = 0;
};

}  // namespace cachify::map

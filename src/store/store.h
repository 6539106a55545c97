#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "util/time.h"

// What every store promises. A store keeps, for each key, who holds a slot and who waits for one.
// Three kinds fit behind this interface: kernel locks that end with a process (file), leases that
// must be renewed (Redis), and shared state that can only be polled (py-cachify).
namespace cachify::run {
class Interrupts;  // run/interrupts.h
}

namespace cachify::store {

// Pools, locks and resources of the same key have nothing to do with each other.
enum class Kind { pool, lock, resource };

// Who asks, for the eyes of others. Never holds a secret; `command` is shown as it was given.
struct Who {
  int32_t pid =
      0;  // in the PID namespace of the caller; the owner's for who holds without a command
  uint32_t uid = 0;
  std::string user;     // empty: unknown
  std::string host;     // uname's node name
  std::string command;  // COMMAND and its arguments, blanks between, cut to what the store keeps
};

// --shed-at: refuse from this occupancy on.
struct ShedAt {
  int64_t slots = 0;              // used when percent is not set
  std::optional<double> percent;  // of the caller's N (or the stored cap)
};

// --replace: newest wins.
struct Replace {
  // While the claim stands first in the queue and does not fit, the holders that came longest ago
  // are ended, as many as it needs: TERM, KILL after `kill_after`, and their cachify exits 76.
  bool running = false;
  bool waiting = false;         // who waits when it arrives is dismissed from the queue
  util::Duration kill_after{};  // with `running`
};

// What is asked of a key.
struct Claim {
  Kind kind = Kind::pool;
  std::string key;  // resolved, without the prefix; 1 to 512 bytes, any but NUL
  int64_t max =
      1;  // the caller's N; 0: use the stored cap (refused as wrong use when there is none)
  int64_t weight = 1;
  bool shared = false;                   // lock: a reader
  int priority = 0;                      // -100..100, a higher one is served first
  std::optional<util::Duration> expiry;  // hard end of the slot, from admission on
  std::optional<ShedAt> shed_at;
  std::optional<int64_t> queue_max;
  bool inherit = true;  // the command keeps the slot when cachify is killed (where a store can)
  std::optional<Replace> replace;
  Who who;
};

// What the admission gave.
struct Grant {
  std::string id;      // names this slot in `release --id`
  uint64_t fence = 0;  // grows with every admission to the key, never repeats; 0: there is none
  int64_t slot = 0;    // the lowest of its slots, 0..N-1, unique among the live holders
  int64_t max = 1;     // the N that was applied
};

struct HolderInfo {
  std::string id;
  int64_t slot = 0;
  int64_t weight = 1;
  bool shared = false;
  bool orphan = false;  // its cachify was killed; the command goes on and keeps the slot
  uint64_t fence = 0;
  int64_t max = 0;      // the N that it asked with; 0: it left that to the stored cap
  bool ending = false;  // somebody has asked for its end, which has not come yet
  Who who;
  int64_t since_us = 0;                  // wall clock
  std::optional<int64_t> expires_in_ms;  // from now on
};

struct WaiterInfo {
  std::string id;
  int64_t position = 0;  // from 1
  int priority = 0;
  int64_t weight = 1;
  bool shared = false;
  int64_t max = 0;  // as HolderInfo's
  Who who;
  int64_t since_us = 0;
};

// How far a `pool map` has come.
struct MapFigures {
  int64_t queued = 0;  // items that were read and wait for a slot, or to be tried again
  int64_t running = 0;
  int64_t done = 0;  // items that have ended for good, the failed ones among them
  int64_t failed = 0;
  int64_t idle = 0;  // slots that it holds without a run
  friend bool operator==(const MapFigures&, const MapFigures&) = default;
};

// A `pool map` under way. Its figures may be some seconds old.
struct MapInfo {
  MapFigures figures;
  Who who;
  int64_t since_us = 0;
};

// What has happened to a key since `created_us`, when its books were begun.
struct Counters {
  int64_t admitted = 0;
  int64_t completed = 0;  // given back before it expired, by its holder or in its place
  int64_t rejected = 0;   // full, closed, shed, queue full
  int64_t timed_out = 0;
  int64_t dismissed = 0;
  int64_t expired = 0;    // whether somebody noticed before its holder was done, or not
  int64_t waited_us = 0;  // by all who were admitted
  int64_t longest_wait_us = 0;
};

// A consistent picture of one key at one instant, the dead and the expired left out.
struct Situation {
  int64_t size = 0;  // slots in use (readers of a lock count one each)
  std::optional<int64_t> stored_max;
  bool closed = false;
  std::vector<HolderInfo> holders;  // by slot
  std::vector<WaiterInfo> waiters;  // in the order in which they will be served
  std::vector<MapInfo> maps;        // who began first comes first
  Counters counters;
  int64_t created_us = 0;  // wall clock; 0: the key never was
  bool with_who = true;    // false: holders and waiters were left out, as summary() may
};

// One key of many.
struct KeySummary {
  std::string key;  // without the prefix
  int64_t size = 0;
  int64_t waiting = 0;
  int64_t max = 0;      // the stored cap, else the largest N of who holds or waits, 0: unknown
  bool stored = false;  // `max` is the stored cap
  bool closed = false;
};

// One who holds a slot right now.
struct LiveHolder {
  std::string id;
  uint64_t fence = 0;
};

// The text that a store keeps beside the books of a resource, and what belongs to the same instant.
struct CatalogueView {
  std::string text;            // empty: there is none
  std::optional<int64_t> max;  // the stored cap
  bool closed = false;
  std::vector<LiveHolder> live;
  int64_t waiting = 0;
  int64_t now_us = 0;  // wall clock of the store
};
struct CatalogueChange {
  std::string text;            // empty: none any more
  std::optional<int64_t> max;  // the cap for everyone, as resize() stores it
  bool closed = false;         // as set_closed() does it
};

// One line of `doctor`.
struct Finding {
  enum class Grade { good, doubtful, bad };  // doubtful: works, but something can go wrong
  Grade grade = Grade::good;
  std::string text;    // what was looked at and what was found
  std::string advice;  // what to do, unless it is good
};
// A bad one, of a message that ends in "; " and what to do; else that is `otherwise`.
Finding bad_finding(const std::string& message, const char* otherwise);

// A slot that is held. Destroying it without release() leaves the slot to the store's crash rules
// (file: free at once unless a command inherited it; Redis: the lease runs out).
class Lease {
 public:
  virtual ~Lease() = default;
  virtual const Grant& grant() const noexcept = 0;

  // The open file whose last descriptor keeps the slot when cachify is killed; -1 where a store
  // has none. It is close-on-exec; the child clears that when the command is to inherit it.
  virtual int keep_fd() const noexcept { return -1; }

  // The leases that this one is made of, where it stands for several keys.
  virtual std::span<const std::unique_ptr<Lease>> parts() const noexcept { return {}; }

  // Leases that must be renewed: when tick() wants to be called next (CLOCK_BOOTTIME ns), and a
  // descriptor that wants tick() when it becomes readable. Kernel locks have neither.
  virtual std::optional<int64_t> next_tick() const noexcept { return std::nullopt; }
  virtual int tick_fd() const noexcept { return -1; }
  enum class State {
    held,
    lost,      // ran out
    taken,     // somebody wants the slot back and COMMAND ended: release() once it was reaped
    released,  // somebody gave it back in our place; COMMAND goes on, release() does no harm
  };
  // All but `held` are told once. After `lost` it may be called on, as long as next_tick() or
  // tick_fd() ask for it: the lease tries to come back.
  // Blocks no longer than the store's command time-out. Never throws: what it cannot do now it
  // tries again, and reports `lost` in time for --on-lost to act before others can be admitted.
  // Also called when this process was poked (run::kPokeSignal): something was done to the slot.
  virtual State tick() noexcept { return State::held; }
  // After `taken`: how long COMMAND has from TERM to KILL, where who took it says so.
  virtual std::optional<util::Duration> kill_after() const noexcept { return std::nullopt; }

  // The command runs: what can wait until then, so that its start does not, is done now. Who holds
  // the slot without a command calls it at once: the next waiter may not be told before.
  virtual void command_started() noexcept {}

  // Gives back only this slot, also when it expired and went to another; wakes who waits. The
  // command must have been reaped. Throws StoreError when the store could not be told (the slot
  // then ends by the crash rules). Must be called at most once.
  virtual void release() = 0;
};

// A map under way, as the store shows it to others, and what it hears of them. Goes with this
// object; with its process, when that is killed: at once (file) or some seconds later (Redis). It
// is for the eye only: what cannot be shown now is shown later or not at all, and nobody is told.
class MapRecord {
 public:
  virtual ~MapRecord() = default;
  // What is to be shown from now on. To be called with every change, and at next_update(); most
  // calls cost nothing, as it is written now and then only. Blocks for 300 ms at most.
  virtual void update(const MapFigures& figures) noexcept = 0;
  // When update() wants to be called again, though nothing has changed; nullopt: need not be.
  virtual std::optional<util::MonotonicTime> next_update() const noexcept = 0;

  // What may have happened to the pool since the last call that concerns who holds slots of it. It
  // only makes haste: what has happened a situation() tells. Costs no round trip and next to no
  // time.
  enum class News {
    none,
    arrival,  // somebody came to wait
    change,   // also: the cap was changed, the pool closed or opened
    unheard,  // nobody can tell now: look from time to time
  };
  virtual News news() noexcept { return News::unheard; }
  // Becomes readable with the next news. -1: news() is to be asked now and then; who changes the
  // cap, or closes or opens the pool, pokes this process as well (run::kPokeSignal) where he can.
  virtual int news_fd() const noexcept { return -1; }
};

enum class Outcome {
  admitted,
  full,         // no slot, or a waiter stands before us (lock: held)
  queue_full,   // --queue-max callers wait already
  shed,         // --shed-at
  closed,       // the key was closed
  dismissed,    // taken out of the queue by somebody
  held_above,   // lock: an ancestor of ours holds it without an end; it can never be had
  timed_out,    // the deadline passed
  interrupted,  // a signal asked us to stop (Interrupts says which), or WaitObserver::go_on()
};

struct Acquisition {
  Outcome outcome = Outcome::full;
  std::unique_ptr<Lease> lease;  // iff admitted
  int64_t max = 1;               // the N that was applied
  util::Duration waited{0};
};

// Told by a store about waiting; lives as long as the call. The store calls it outside its mutex.
class WaitObserver {
 public:
  virtual ~WaitObserver() = default;
  // When the store should call waiting(): nullopt never, 0 at once, else so long after the start.
  virtual std::optional<util::Duration> explain_after() const { return std::nullopt; }
  // Called once at most, with the position of the caller in situation.waiters (0: unknown).
  virtual void waiting(const Situation&, int64_t /*position*/) {}
  // For who holds other leases of this store meanwhile, or has other work to do. go_on() is asked
  // whenever acquire() wakes while it waits: after a poke or another signal that Interrupts also
  // wakes on, when look_fd() is readable, and at next_look() (CLOCK_BOOTTIME ns) at the latest.
  // False makes it leave the queue with Outcome::interrupted. It may use the store, but not
  // acquire.
  virtual bool go_on() { return true; }
  virtual std::optional<int64_t> next_look() const { return std::nullopt; }
  virtual int look_fd() const { return -1; }
  // Something the user may want to know with -v (for example: polling instead of sleeping).
  virtual void note(const std::string&) {}
};

struct Patience {
  bool wait = false;
  std::optional<util::MonotonicTime> deadline;  // with wait only
};

class Store {
 public:
  virtual ~Store() = default;

  // Takes a slot, or says why not. With patience.wait it queues (strictly: priority, then order of
  // arrival, never past a live waiter) and sleeps without processor time until admitted, until the
  // deadline, or until `interrupts` reports a signal; whatever it returns or throws, it has then
  // left the queue. After a signal nothing is ever admitted. `interrupts` must outlive the lease.
  // Throws StoreError when it cannot tell.
  virtual Acquisition acquire(const Claim& claim, const Patience& patience,
                              run::Interrupts& interrupts, WaitObserver& observer) = 0;

  // Slots in use after leaving out the expired and the dead. 0 for a key that never was.
  virtual int64_t size(Kind kind, const std::string& key) = 0;
  // Throws UsageError where the layout does not say who holds and who waits.
  virtual Situation situation(Kind kind, const std::string& key) = 0;
  // The same for who asks only how full it is: a store may leave out who holds and who waits.
  virtual Situation summary(Kind kind, const std::string& key);
  // The same for who has leases to look after: throws StoreError when there is no answer in so
  // long.
  virtual Situation glance(Kind kind, const std::string& key, util::Duration /*patience*/) {
    return situation(kind, key);
  }

  // Looking and steering. A store whose layout cannot do one of these leaves it as it is: it throws
  // UsageError, and says what cannot be done. Each acts at once or throws StoreError.

  // The keys of this prefix that somebody uses, or whose cap or closing is stored, by name.
  virtual std::vector<KeySummary> list(Kind kind);

  // Stores a cap for everyone, or (nullopt) leaves it to each caller's N again. Who waits and fits
  // now is woken as quickly as by a release; nobody is ended.
  virtual void resize(Kind kind, const std::string& key, std::optional<int64_t> max);

  // Newcomers are refused from now on, or no more. Who waits stays.
  virtual void set_closed(Kind kind, const std::string& key, bool closed);

  // Takes everyone who waits out of the queue; they end with Outcome::dismissed. How many.
  virtual int64_t dismiss(Kind kind, const std::string& key);

  // Gives back the slot `id`, or (nullopt) all of them, in place of their holders, whose commands
  // go on. How many: 0 when there was nothing to give back.
  virtual int64_t give_back(Kind kind, const std::string& key,
                            const std::optional<std::string>& id);

  // Asks the holder `id`, or all of them, to end COMMAND and give back: Lease::State::taken there.
  // Returns at once, with the ids of those asked; they hold until COMMAND was reaped.
  virtual std::vector<std::string> terminate(Kind kind, const std::string& key,
                                             const std::optional<std::string>& id,
                                             std::optional<util::Duration> kill_after);

  // Sleeps until `enough` says so of the situation, looking whenever that may have changed. False:
  // the deadline or a signal (Interrupts says which) came first.
  virtual bool wait_until(Kind kind, const std::string& key,
                          const std::function<bool(const Situation&)>& enough,
                          const std::optional<util::MonotonicTime>& deadline,
                          run::Interrupts& interrupts);

  // The catalogue of a resource, as it is. Changes nothing.
  virtual CatalogueView catalogue(const std::string& key);

  // Changes the catalogue of a resource, its cap and whether it is closed: `change` says how, and
  // nobody else changes them between its look and its deed. It may be called several times, the
  // last call counts; nullopt leaves all as it is; what it throws comes out, and nothing was
  // changed. Killed on the way, the text is the old one or the new one; cap and closing may lag
  // behind it until the next change. A catalogue stays until it is changed to none.
  using ChangeCatalogue = std::function<std::optional<CatalogueChange>(const CatalogueView&)>;
  virtual void update_catalogue(const std::string& key, const ChangeCatalogue& change,
                                run::Interrupts* interrupts);

  // A directory of this host for files that belong to the catalogues, the same for every caller;
  // empty: the store has none.
  virtual std::string work_directory() const { return {}; }

  // Shows a map of this pool in everybody's situation(), from the first update() on. Must not
  // outlive the store. nullptr: the store has no place for that. Throws nothing.
  virtual std::unique_ptr<MapRecord> show_map(const std::string& /*key*/, const Who& /*who*/) {
    return nullptr;
  }

  // Whether the store works, and what could make it fail: for `doctor`. Changes nothing that stays.
  // Throws nothing for what it finds: that is a finding.
  virtual std::vector<Finding> examine();

  // The store's URL as messages may show it: without a password.
  virtual std::string shown_url() const = 0;

 protected:
  // "a file: store cannot ...", for what the layout has no place for.
  [[noreturn]] void refuse(const std::string& what) const;
};

}  // namespace cachify::store

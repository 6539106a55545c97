#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run/interrupts.h"
#include "store/file/bell.h"
#include "store/file/file_watch.h"
#include "store/file/poke.h"
#include "store/file/state_file.h"
#include "store/store.h"

namespace cachify::store::file {

// One caller's way to a slot: ARRIVE, CHECK, ADMIT and LEAVE of PROTOCOL.md, whose step names the
// comments use. Lives for one call of Store::acquire.
class Admission {
 public:
  Admission(const Directory& directory, std::string prefixed_key, const Claim& claim,
            const Patience& patience, run::Interrupts& interrupts, WaitObserver& observer);

  Acquisition run();

  // Goes on in a queue that the caller has entered elsewhere: with CHECK. Locks and entry are
  // there.
  struct PlaceInQueue {
    util::UniqueFd control;
    util::UniqueFd first_shard;  // where the entry is in that one
    util::UniqueFd hold;         // may be missing
    uint32_t index;
    uint64_t ticket;
    util::MonotonicTime arrived;
  };
  Acquisition go_on(PlaceInQueue place);

 private:
  Acquisition finish(std::optional<Outcome> outcome);
  // Each returns the outcome when it is decided. The mutex is held before and after, but for the
  // ends: an outcome has let go of it.
  std::optional<Outcome> arrive();
  std::optional<Outcome> check();

  bool lock();  // false: given_up() says why
  Outcome given_up() const;
  std::optional<Outcome> refusal_on_arrival();
  bool fits();
  uint64_t occupancy();
  bool held_above();
  void arm();
  void ring();
  void enqueue();
  Outcome admit();
  bool next_would_fit() const;
  Outcome leave(Outcome outcome);
  void write_waiting_entry();
  bool is_mine(EntryState state) const;
  void dismiss_others();
  void ask_holders_to_end();
  void see_to_their_end();
  // --replace: the holders whose end we have asked for, or somebody has whom we cannot rely on.
  struct Replaced {
    uint64_t ticket;
    std::optional<util::MonotonicTime> kill_at;  // it has lost its cachify; we end the command
  };
  Replaced* find_replaced(uint64_t ticket);
  void end_orphan(uint32_t index, int signal);
  [[noreturn]] void give_up_on(const Owner& holder);
  Info info(int64_t since_us) const;

  enum class Sleep { none, predecessor, holder, bell, watch, poll };
  // C3 to C7: what to sleep on, decided under the mutex.
  Sleep choose_sleep(std::optional<uint32_t> predecessor);
  void sleep(Sleep how, std::optional<uint32_t> predecessor);
  util::MonotonicTime wake_up_time(bool head) const;
  void explain_when_due();

  const Claim& claim_;
  const Patience& patience_;
  run::Interrupts& interrupts_;
  WaitObserver& observer_;
  Wish wish_;

  std::unique_ptr<StateFile> state_;
  Bell bell_;
  FileWatch watch_;
  util::UniqueFd hold_;

  util::MonotonicTime started_;
  std::optional<util::MonotonicTime> explain_at_;
  uint64_t pid_namespace_ = 0;
  uint32_t cap_ = 0;  // the N that counts for us
  uint64_t ticket_ = 0;
  uint32_t index_ = 0;
  bool queued_ = false;
  bool can_be_woken_ = true;    // else polling
  bool slept_on_bell_ = false;  // and was woken there
  bool looked_early_ = false;   // since we came to sleep on the bell
  int after_death_ = -1;        // how many of the quick looks after a kernel's ring were taken
  uint32_t holder_in_my_way_ = 0;
  std::vector<Replaced> replaced_;
  bool asked_on_arrival_ = false;
  std::unique_ptr<Lease> lease_;
};

}  // namespace cachify::store::file

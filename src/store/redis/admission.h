#pragma once

#include <memory>
#include <optional>
#include <string>

#include "run/interrupts.h"
#include "store/redis/books.h"
#include "store/redis/limit.h"
#include "store/store.h"

namespace cachify::store::redis {

// One caller's way to a slot. Lives for one call of Store::acquire.
//
// Who waits sleeps in BLPOP on a list of its own, from the moment it is in the queue: who pushes
// and finds the list still there afterwards knows that nobody was asleep on it. So whatever else
// is to be asked meanwhile goes over a second connection. What is read there is a grant (see
// rely_on), or only wakes; then whether we hold a slot is asked of the books, with the place that
// we had.
class Admission {
 public:
  Admission(const Address& address, const Books& books, const Claim& claim,
            const Patience& patience, run::Interrupts& interrupts, WaitObserver& observer);

  Acquisition run();

 private:
  Limit limit() const;
  Limit request_limit() const;
  std::optional<Outcome> arrive();
  // One sleep and what follows from its end.
  std::optional<Outcome> wait();
  void sleep_on_list();
  std::optional<Outcome> rely_on(const Reply& woken);
  void look_around();
  bool nobody_looks(int64_t server_now_us);
  void queue_again();

  TakeAnswer take(Client& client, bool listen, const Limit& limit);
  // Follows an answer: the outcome when it is decided.
  std::optional<Outcome> follow(const TakeAnswer& answer, std::unique_ptr<Client>& client);
  std::optional<Outcome> refuse(Outcome outcome, const TakeAnswer& answer) const;
  bool held_above(const TakeAnswer& answer, bool queue_lives) const;
  Outcome admit(const TakeAnswer& answer, std::unique_ptr<Client>& client);
  void check_replicas(Client& client);
  void settle(Client& client, const std::vector<std::string>& pending);
  int64_t clear_the_way(const TakeAnswer& answer);
  void count_refusal();
  void schedule_look(const TakeAnswer& answer);
  void explain_when_due();
  void give_back() noexcept;
  void leave(const char* why);
  void leave_quietly() noexcept;

  const Address& address_;
  const Books& books_;
  const Claim& claim_;
  const Patience& patience_;
  run::Interrupts& interrupts_;
  WaitObserver& observer_;

  const std::string id_;
  const util::MonotonicTime started_;
  std::unique_ptr<Client> client_;  // the one that sleeps
  std::unique_ptr<Client> side_;    // for all else meanwhile
  std::optional<Outcome> decided_;  // while it was waiting
  bool asleep_ = false;             // BLPOP has been sent and not been answered
  bool look_above_ = false;         // an ancestor may be in our way, with the dead out of it

  bool in_doubt_ = false;  // something of ours may be in the books
  Place place_;
  int64_t rank_ = 0;
  int64_t server_ahead_us_ = 0;  // of our CLOCK_BOOTTIME, at most
  util::MonotonicTime next_look_;
  std::optional<util::MonotonicTime> explain_at_;
  int64_t cap_ = 0;
  int64_t asked_at_ns_ = 0;  // CLOCK_BOOTTIME, when the last take was sent
  int64_t settled_ = 0;      // dead ones whose grants were taken back after the last take
  std::unique_ptr<Lease> lease_;
};

}  // namespace cachify::store::redis

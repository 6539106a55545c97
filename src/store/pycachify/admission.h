#pragma once

#include <memory>
#include <optional>
#include <string>

#include "run/interrupts.h"
#include "store/pycachify/book.h"
#include "store/pycachify/guard_wait.h"
#include "store/store.h"

namespace cachify::store::pycachify {

// One caller's way to a lock or a slot: it looks, and looks again after `address.poll`, give or
// take a quarter. Nobody keeps an order. Lives for one call of Store::acquire.
class Admission {
 public:
  Admission(const redis::Address& address, const std::string& prefix, const Claim& claim,
            const Patience& patience, run::Interrupts& interrupts, WaitObserver& observer);

  Acquisition run();

 private:
  Book::Taken take();
  // nullopt: look again.
  std::optional<Outcome> follow(Book::Taken taken);
  void wait_for_room();
  void wait_for_guard();
  void sleep(const redis::Limit& limit);
  bool is_too_late() const;
  redis::Limit limit() const;
  redis::Limit request_limit() const;
  redis::Limit with_time_for_an_answer(redis::Limit limit) const;
  void explain_when_due();
  void leave_quietly() noexcept;

  const redis::Address& address_;
  const Claim& claim_;
  const Patience& patience_;
  run::Interrupts& interrupts_;
  WaitObserver& observer_;

  const util::MonotonicTime started_;
  redis::Client client_;
  std::unique_ptr<Book> book_;
  bool queued_ = false;  // it was full once, and we wait
  GuardWait guard_;
  std::optional<util::MonotonicTime> explain_at_;
};

}  // namespace cachify::store::pycachify

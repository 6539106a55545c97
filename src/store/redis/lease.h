#pragma once

#include <memory>
#include <optional>
#include <string>

#include "store/redis/books.h"
#include "store/redis/client.h"
#include "store/redis/failure.h"
#include "store/store.h"

namespace cachify::store::redis {

// A slot that is held as long as its lease is renewed. tick() sends the renewal and looks for its
// answer later, so that nobody waits for a server that hangs; only a new connection takes its time.
//
// Between renewals the connection is subscribed to a channel of this holder alone, for others who
// steer: so they are heard at once, and the release is one round trip all the same. Not in the
// first moment: a short command pays nothing.
class RedisLease : public Lease {
 public:
  // A grant that was pushed: it lasts so long, and send_keep was done with the client then
  // (CLOCK_BOOTTIME).
  struct Unconfirmed {
    util::Duration lease;
    int64_t asked_at_ns;
  };

  // `asked_at_ns`: CLOCK_BOOTTIME before the request was sent that gave the lease, or when it was
  // pushed. `address` must outlive the object.
  RedisLease(const Address& address, const Books& books, std::unique_ptr<Client> client,
             const Claim& claim, Grant grant, std::string epoch, std::string record,
             int64_t asked_at_ns, std::optional<Unconfirmed> unconfirmed = {});

  const Grant& grant() const noexcept override { return grant_; }
  std::optional<int64_t> next_tick() const noexcept override;
  int tick_fd() const noexcept override;
  State tick() noexcept override;
  std::optional<util::Duration> kill_after() const noexcept override { return kill_after_; }
  void release() override;

 private:
  int64_t lost_at() const noexcept;
  void renew();
  void read_answer();
  void digest(const KeepAnswer& answer);
  void listen();
  void obey(const std::string& mark);
  void failed(const Failure& failure) noexcept;
  void schedule_renewal() noexcept;

  const Address& address_;
  const Books books_;
  std::unique_ptr<Client> client_;
  const std::string key_;
  const std::optional<util::Duration> expiry_;
  const Grant grant_;
  std::string epoch_;
  const std::string record_;

  // All of CLOCK_BOOTTIME.
  const int64_t admitted_at_;
  int64_t confirmed_at_;  // before the last request that succeeded was sent
  util::Duration lasts_;  // from then on
  int64_t next_renewal_ = 0;
  int64_t asked_at_ = 0;        // when the renewal under way was sent; 0: none
  util::Duration pause_;        // after the next failure
  bool over_ = false;           // past its hard end, or lost for good: nothing more to do
  bool lost_for_good_ = false;  // the server said so
  bool lost_reported_ = false;

  int64_t next_listen_;  // when to begin to listen for what others decide about our slot
  bool deaf_ = false;    // we may not
  bool taken_ = false;
  std::optional<util::Duration> kill_after_;
  std::optional<State> news_;  // for the next tick to tell
};

}  // namespace cachify::store::redis

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "store/pycachify/book.h"
#include "store/redis/client.h"
#include "store/store.h"

namespace cachify::store::pycachify {

// A lock or slot that is held. Without a hard end its end is moved on after a third of the lease,
// give or take a quarter of that; it counts as lost 2 s before it ends (a quarter of the lease, if
// that is less), by when others may see it as free.
class PolledLease : public Lease {
 public:
  PolledLease(const Claim& claim, std::unique_ptr<Book> book, redis::Client client);

  const Grant& grant() const noexcept override { return grant_; }
  std::optional<int64_t> next_tick() const noexcept override;
  State tick() noexcept override;
  void release() override;

 private:
  int64_t lost_at() const noexcept;
  State renew(int64_t now);
  void failed(const char* why) noexcept;

  const std::string key_;
  const int64_t max_;
  const std::unique_ptr<Book> book_;
  redis::Client client_;
  const Grant grant_;

  int64_t next_renewal_ = 0;  // CLOCK_BOOTTIME
  util::Duration pause_;      // after the next failure
  bool over_;                 // nothing more to do
  bool lost_reported_ = false;
};

}  // namespace cachify::store::pycachify

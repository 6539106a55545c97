#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/store.h"
#include "util/unique_fd.h"

namespace cachify::run {

// The leases of several keys as one: all of them are held, or the set counts as lost.
class LeaseSet : public store::Lease {
 public:
  // `keys`: each of them once, in any order.
  explicit LeaseSet(const std::vector<std::string>& keys);

  // They are taken in the order of their bytes: the one whose lease is to be added next; nullptr
  // when there are all.
  const std::string* next_key() const noexcept;
  // `expiry`: the hard end of this one, from now on.
  void add(std::unique_ptr<store::Lease> lease,
           const std::optional<util::Duration>& expiry = std::nullopt);

  // While there are more to come, and once when there are all: renews what must be renewed. False
  // once one of them is not ours any more; lost_key() is then its key, has_expired() the reason.
  bool all_held() noexcept;
  const std::string& lost_key() const noexcept { return keys_[lost_]; }
  bool has_expired() const noexcept { return has_expired_; }

  // This and parts() only when there are all. The parts are in the order of `keys`.
  const store::Grant& grant() const noexcept override { return parts_.front()->grant(); }
  std::span<const std::unique_ptr<store::Lease>> parts() const noexcept override { return parts_; }
  int keep_fd() const noexcept override { return parts_.front()->keep_fd(); }

  std::optional<int64_t> next_tick() const noexcept override;
  int tick_fd() const noexcept override;
  // `lost` and `taken` as soon as they hold for one of them, `released` when they all are.
  State tick() noexcept override;
  std::optional<util::Duration> kill_after() const noexcept override;
  void command_started() noexcept override;
  // Each that was added, the last one first, also when one cannot be told: throws what was thrown
  // first then.
  void release() override;

 private:
  std::vector<std::string> keys_;
  std::vector<size_t> order_;                         // indices of keys_ by the bytes of the keys
  std::vector<std::unique_ptr<store::Lease>> parts_;  // as keys_; empty: not there yet
  size_t added_ = 0;                                  // the first so many of order_
  size_t lost_ = 0;
  bool all_were_held_ = true;
  bool has_expired_ = false;
  std::optional<int64_t> first_expiry_;  // CLOCK_BOOTTIME ns; the first one is added first
  size_t released_ = 0;                  // by somebody else
  std::optional<size_t> taken_;
  mutable util::UniqueFd ticks_;  // an epoll descriptor, where the leases have several
};

}  // namespace cachify::run

#include "store/redis/retries.h"

#include "errors.h"
#include "util/text.h"

namespace cachify::store::redis {

namespace {

constexpr util::Duration kLongestPause = std::chrono::seconds(1);
constexpr size_t kLongestReason = 300;

}  // namespace

void give_up(const Address& address, const Failure& failure) {
  const std::string_view reason = util::cut(failure.what(), kLongestReason);
  throw StoreError("the store '" + address.shown + "' cannot be used: " + std::string(reason) +
                   "; see cachify doctor");
}

Limit Retries::limit() const {
  if (mode_ == Mode::queued) return limit_;
  return {std::min(limit_.until, started_ + address_.connect_timeout + kCommandTimeout),
          limit_.interrupts};
}

void Retries::after(const Failure& failure) {
  using Kind = Failure::Kind;
  const util::MonotonicTime now = util::monotonic_now();
  bool enough = failure.is_final() || limit_.passed();
  if (mode_ == Mode::first) {
    const bool single = address_.topology == Address::Topology::single;
    enough = enough || (failure.kind == Kind::unreachable && single) ||
             failure.kind == Kind::nobody || failure.kind == Kind::refused ||
             (failure.kind == Kind::broken && now - started_ >= kCommandTimeout) ||
             now - started_ >= address_.connect_timeout;
  }
  if (enough) give_up(address_, failure);
  sleep_until(limit_.within(pause_));
  pause_ = std::min(pause_ * 2, kLongestPause);
}

}  // namespace cachify::store::redis

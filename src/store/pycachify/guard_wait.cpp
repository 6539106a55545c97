#include "store/pycachify/guard_wait.h"

#include <algorithm>

#include "errors.h"
#include "store/pycachify/book.h"
#include "store/redis/random.h"

namespace cachify::store::pycachify {

namespace {

constexpr util::Duration kFirstPause = std::chrono::milliseconds(4);

}  // namespace

GuardWait::GuardWait(const std::string& prefix, const std::string& key, util::Duration patience)
    : prefix_(prefix), key_(key), patience_(patience) {}

util::Duration GuardWait::lasted() const noexcept {
  return since_ ? util::monotonic_now() - *since_ : util::Duration::zero();
}

util::Duration GuardWait::pause(util::Duration longest) {
  if (!since_) {
    since_ = util::monotonic_now();
    pause_ = kFirstPause;
  }
  if (lasted() >= patience_) give_up();
  const util::Duration pause = redis::jittered(pause_);
  pause_ = std::min(pause_ * 2, std::max(longest, kFirstPause));
  return pause;
}

void GuardWait::give_up() const {
  throw StoreError("the pool '" + key_ + "' cannot be changed: its guard, '" +
                   guard_name(prefix_, key_) +
                   "' in the store, stays; one that a dead service has left ends by itself, after "
                   "30 s by default");
}

}  // namespace cachify::store::pycachify

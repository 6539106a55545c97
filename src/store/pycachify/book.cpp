#include "store/pycachify/book.h"

#include <algorithm>

namespace cachify::store::pycachify {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What a Python service takes by default.
constexpr util::Duration kLockLease = seconds(30);
constexpr util::Duration kPoolLease = seconds(600);

// What is older has been undone, or ends by itself.
constexpr size_t kMostDoubtful = 16;

}  // namespace

util::Duration guard_patience(int64_t max) noexcept {
  const util::Duration scaled = milliseconds(100) * std::min<int64_t>(max, 1000);
  return std::clamp<util::Duration>(scaled, seconds(5), seconds(30));
}

std::string lock_name(const std::string& prefix, const std::string& key) {
  return prefix + key;
}

std::string state_name(const std::string& prefix, const std::string& key) {
  return prefix + key + "-state";
}

void Book::doubt(const redis::Failure& failure) {
  // What was answered with an error, or reached nobody, has not been done.
  if (failure.kind != redis::Failure::Kind::broken) {
    in_doubt_ = !doubtful_.empty();
    return;
  }
  if (!in_doubt_ || mark().empty()) return;
  if (doubtful_.empty() || doubtful_.back() != mark()) doubtful_.push_back(mark());
  if (doubtful_.size() > kMostDoubtful) doubtful_.erase(doubtful_.begin());
  rename();
}

std::string guard_name(const std::string& prefix, const std::string& key) {
  return prefix + key + "-lock";
}

std::string note_name(const std::string& name, const std::string& id) {
  return name + "-given-back-" + id;
}

std::unique_ptr<Book> make_book(const redis::Address& address, const std::string& prefix,
                                const Claim& claim) {
  const bool lock = claim.kind == Kind::lock;
  const util::Duration lease =
      address.lease_given ? address.lease : (lock ? kLockLease : kPoolLease);
  if (lock) return std::make_unique<LockBook>(prefix, claim, lease);
  return std::make_unique<PoolBook>(prefix, claim, lease);
}

}  // namespace cachify::store::pycachify

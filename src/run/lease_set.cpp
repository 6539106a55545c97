#include "run/lease_set.h"

#include <sys/epoll.h>

#include <algorithm>
#include <exception>
#include <new>
#include <numeric>
#include <utility>

#include "util/log.h"

namespace cachify::run {

LeaseSet::LeaseSet(const std::vector<std::string>& keys)
    : keys_(keys), order_(keys.size()), parts_(keys.size()) {
  std::iota(order_.begin(), order_.end(), size_t{0});
  // std::string compares bytes, whatever the locale.
  std::sort(order_.begin(), order_.end(),
            [this](size_t a, size_t b) { return keys_[a] < keys_[b]; });
}

const std::string* LeaseSet::next_key() const noexcept {
  return added_ < order_.size() ? &keys_[order_[added_]] : nullptr;
}

void LeaseSet::add(std::unique_ptr<store::Lease> lease,
                   const std::optional<util::Duration>& expiry) {
  if (expiry && !first_expiry_) first_expiry_ = util::boottime_ns() + expiry->count();
  const auto& part = parts_[order_[added_++]] = std::move(lease);
  // Held without a command, perhaps for long, while the next one is waited for.
  if (added_ < order_.size()) part->command_started();
}

bool LeaseSet::all_held() noexcept {
  if (first_expiry_ && util::boottime_ns() >= *first_expiry_ && all_were_held_) {
    all_were_held_ = false;
    has_expired_ = true;
    lost_ = order_.front();
  }
  for (size_t i = 0; i < added_ && all_were_held_; ++i) {
    if (parts_[order_[i]]->tick() == State::held) continue;
    all_were_held_ = false;
    lost_ = order_[i];
  }
  return all_were_held_;
}

std::optional<int64_t> LeaseSet::next_tick() const noexcept {
  std::optional<int64_t> next;
  // A command that runs goes on when they expire.
  if (added_ < order_.size()) next = first_expiry_;
  for (size_t i = 0; i < added_; ++i) {
    const auto one = parts_[order_[i]]->next_tick();
    if (one && (!next || *one < *next)) next = one;
  }
  return next;
}

// Asked before each wait, as the descriptors change when connections are made anew.
int LeaseSet::tick_fd() const noexcept {
  int first = -1;
  ticks_.reset();
  // What cannot be watched for want of descriptors is looked at when next_tick() says so.
  const auto watch = [this](int fd) {
    epoll_event event{EPOLLIN, {}};
    epoll_ctl(ticks_.get(), EPOLL_CTL_ADD, fd, &event);
  };
  for (size_t i = 0; i < added_; ++i) {
    const int fd = parts_[order_[i]]->tick_fd();
    if (fd < 0) continue;
    if (first < 0) {
      first = fd;
      continue;
    }
    if (!ticks_) {
      ticks_.reset(epoll_create1(EPOLL_CLOEXEC));
      watch(first);
    }
    watch(fd);
  }
  return ticks_ ? ticks_.get() : first;
}

store::Lease::State LeaseSet::tick() noexcept {
  State result = State::held;
  bool released = false;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const State state = parts_[i]->tick();
    if (state == State::taken) {
      taken_ = i;
      result = State::taken;
    } else if (state == State::lost && result == State::held) {
      result = State::lost;
    } else if (state == State::released) {
      released = true;
      ++released_;
      if (released_ < parts_.size()) {
        try {
          util::explain(keys_[i] + ": somebody gave it back; the command goes on without it");
        } catch (const std::bad_alloc&) {
          // Only words.
        }
      }
    }
  }
  if (result == State::held && released && released_ == parts_.size()) return State::released;
  return result;
}

std::optional<util::Duration> LeaseSet::kill_after() const noexcept {
  return taken_ ? parts_[*taken_]->kill_after() : std::nullopt;
}

void LeaseSet::command_started() noexcept {
  for (size_t i = 0; i < added_; ++i) parts_[order_[i]]->command_started();
}

void LeaseSet::release() {
  std::exception_ptr failure;
  for (; added_ > 0; --added_) {
    try {
      parts_[order_[added_ - 1]]->release();
    } catch (const std::exception&) {
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace cachify::run

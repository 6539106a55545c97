#include "map/slots.h"

#include <algorithm>

#include "errors.h"
#include "util/log.h"

namespace cachify::map {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Between two looks at who else is there: long enough that looking costs next to nothing.
constexpr util::Duration kShortestPause = milliseconds(25);
constexpr util::Duration kLongestPause = milliseconds(500);
constexpr int64_t kPausePerCost = 500;
// Where there is news of them: while some wait anyway, that looking costs little; else at once, or
// who comes next would have to wait for one of our items more.
constexpr util::Duration kShortestNewsPause = milliseconds(1);
constexpr int64_t kNewsPausePerCost = 20;
constexpr util::Duration kPauseAfterFailure = seconds(1);

// Who has every slot there is and is not told asks so often whether there are more now.
constexpr util::Duration kGrowthLook = milliseconds(500);

constexpr util::Duration kLookTime = milliseconds(300);

constexpr util::Duration kAnswerTime = seconds(2);
constexpr util::Duration kAnswerLook = milliseconds(20);

util::MonotonicTime monotonic(int64_t boottime_ns) {
  return util::monotonic_now() + util::Duration(boottime_ns - util::boottime_ns());
}

}  // namespace

Slots::Slots(store::Store& store, const store::Claim& claim)
    : store_(store),
      claim_(claim),
      looked_(util::monotonic_now()),
      pause_(kLongestPause / 2),
      news_pause_(0) {}

Slots::~Slots() {
  while (!slots_.empty()) give_back(*slots_.back());
}

Slot& Slots::add(store::Acquisition acquisition) {
  auto slot = std::make_unique<Slot>();
  slot->lease = std::move(acquisition.lease);
  slot->waited = acquisition.waited;
  slot->watched = slot->lease->tick_fd() >= 0 || slot->lease->next_tick().has_value();
  slot->idle_since = util::monotonic_now();
  granted_max_ = slot->lease->grant().max;
  if (crowd_) ++crowd_->size;
  slots_.push_back(std::move(slot));
  return *slots_.back();
}

Slot* Slots::idle() {
  for (const auto& slot : slots_) {
    if (!slot->busy && !slot->spent) return slot.get();
  }
  return nullptr;
}

void Slots::give_back(Slot& slot) {
  try {
    if (!slot.used) slot.lease->command_started();  // who was told to wait for that may go on
    slot.lease->release();
  } catch (const std::exception& error) {
    util::error(error.what());
  }
  if (crowd_ && !slot.gives_way) one_given_back(*crowd_);
  slots_.erase(std::find_if(slots_.begin(), slots_.end(),
                            [&slot](const auto& entry) { return entry.get() == &slot; }));
}

std::vector<Slots::Change> Slots::tick(bool poked) {
  std::vector<Change> changes;
  std::vector<pollfd> readable;
  add_descriptors(readable);
  if (!readable.empty()) ::poll(readable.data(), readable.size(), 0);
  const auto is_readable = [&readable](int fd) {
    return std::any_of(readable.begin(), readable.end(),
                       [fd](const pollfd& entry) { return entry.fd == fd && entry.revents != 0; });
  };
  for (const auto& slot : slots_) {
    if (!slot->watched && !poked) continue;
    const auto next = slot->lease->next_tick();
    const bool due = next && *next <= util::boottime_ns();
    const int fd = slot->lease->tick_fd();
    if (!due && !poked && !(fd >= 0 && is_readable(fd))) continue;
    if (due) answer_until_ = util::monotonic_now() + kAnswerTime;
    const store::Lease::State state = slot->lease->tick();
    if (state == store::Lease::State::held) continue;
    slot->spent = true;
    changes.push_back({slot.get(), state});
  }
  return changes;
}

std::optional<util::MonotonicTime> Slots::next_tick() const {
  std::optional<int64_t> next;
  for (const auto& slot : slots_) {
    const auto one = slot->lease->next_tick();
    if (one && (!next || *one < *next)) next = one;
  }
  if (!next) return std::nullopt;
  return monotonic(*next);
}

std::optional<util::MonotonicTime> Slots::next_blind_tick() const {
  const auto next = next_tick();
  const util::MonotonicTime now = util::monotonic_now();
  if (!next || now >= answer_until_) return next;
  return std::min(*next, now + kAnswerLook);
}

void Slots::add_descriptors(std::vector<pollfd>& to) const {
  for (const auto& slot : slots_) {
    const int fd = slot->lease->tick_fd();
    if (fd >= 0) to.push_back({fd, POLLIN, 0});
  }
}

int64_t Slots::cap() const {
  if (crowd_ && crowd_->stored_max) return *crowd_->stored_max;
  if (crowd_ && claim_.max != 0) return claim_.max;
  return granted_max_ != 0 ? granted_max_ : claim_.max;
}

void Slots::listen() {
  using News = store::MapRecord::News;
  const News news = record_ != nullptr ? record_->news() : News::unheard;
  listening_ = news != News::unheard;
  arrival_ = arrival_ || news == News::arrival;
  changed_ = changed_ || news == News::change;
}

// Whether there is nothing but news to look for. Others' holders come and go without any, so that
// what we have taken since may seem to be too much.
bool Slots::quiet() const {
  return listening_ && !unsettled_ && (!crowd_ || crowd_->size <= cap());
}

Crowd* Slots::crowd() {
  listen();
  const util::Duration age = util::monotonic_now() - looked_;
  const bool news = arrival_ || changed_;
  if (news ? age >= news_pause_ : !quiet() && age >= pause_) look();
  return crowd_ ? &*crowd_ : nullptr;
}

bool Slots::hear() {
  listen();
  const util::Duration age = util::monotonic_now() - looked_;
  const bool due =
      changed_ ? age >= news_pause_ : !listening_ && age >= std::max(pause_, kGrowthLook);
  if (due) look();
  return due;
}

std::optional<util::MonotonicTime> Slots::next_hear() const {
  if (changed_) return looked_ + news_pause_;
  if (!listening_) return looked_ + std::max(pause_, kGrowthLook);
  if (news_fd() >= 0) return std::nullopt;
  return util::monotonic_now() + kGrowthLook;
}

int Slots::news_fd() const {
  return record_ != nullptr && !changed_ ? record_->news_fd() : -1;
}

void Slots::look() {
  const util::MonotonicTime before = util::monotonic_now();
  try {
    crowd_ =
        crowd_of(store_.glance(claim_.kind, claim_.key, kLookTime), claim_.who, claim_.priority);
    arrival_ = changed_ = false;
    unsettled_ = crowd_->waiting > 0 || crowd_->size > cap();
    looked_ = util::monotonic_now();
    const util::Duration cost = looked_ - before;
    pause_ = std::clamp<util::Duration>(cost * kPausePerCost, kShortestPause, kLongestPause);
    news_pause_ = kShortestNewsPause;
    if (unsettled_) {
      news_pause_ =
          std::clamp<util::Duration>(cost * kNewsPausePerCost, kShortestNewsPause, kShortestPause);
    }
  } catch (const Error& error) {
    util::explain(error.what());
    crowd_.reset();
    changed_ = true;
    looked_ = util::monotonic_now();
    pause_ = news_pause_ = kPauseAfterFailure;
  }
}

}  // namespace cachify::map

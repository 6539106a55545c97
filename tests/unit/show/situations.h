#pragma once

#include "store/store.h"
#include "util/identity.h"

// Situations to look at.
namespace cachify::test {

inline constexpr int64_t kNow = 1'800'000'000'000'000;

inline store::HolderInfo holder(int64_t slot, int32_t pid, int64_t seconds_ago) {
  store::HolderInfo info;
  info.id = "h" + std::to_string(pid);
  info.slot = slot;
  info.max = 4;
  info.fence = 1'799'999'999'000'000 + static_cast<uint64_t>(pid);
  info.who = {pid, 1000, "alice", util::host_name(), "./job.sh"};
  info.since_us = kNow - seconds_ago * 1'000'000;
  return info;
}

inline store::WaiterInfo waiter(int64_t position, int32_t pid, int64_t seconds_ago) {
  store::WaiterInfo info;
  info.id = "w" + std::to_string(pid);
  info.position = position;
  info.max = 4;
  info.who = {pid, 1000, "alice", util::host_name(), "./later.sh"};
  info.since_us = kNow - seconds_ago * 1'000'000;
  return info;
}

inline store::MapInfo map_of(int32_t pid, int64_t seconds_ago) {
  store::MapInfo info;
  info.figures = {64, 4, 117, 2, 1};
  info.who = {pid, 1000, "alice", util::host_name(), "./load {}"};
  info.since_us = kNow - seconds_ago * 1'000'000;
  return info;
}

inline store::Situation busy() {
  store::Situation now;
  now.size = 2;
  now.holders = {holder(0, 12, 192), holder(2, 13, 7)};
  now.waiters = {waiter(1, 14, 61)};
  return now;
}

}  // namespace cachify::test

#pragma once

#include <cstdint>

#include "quick/plain_call.h"
#include "store/file/layout.h"

// What several of the quick start's steps do with the head (head.h), as store/file does it.
namespace cachify::quick {

inline constexpr int kRealTime = 0;  // CLOCK_REALTIME and CLOCK_MONOTONIC of clock_gettime(2)
inline constexpr int kMonotonic = 1;
int64_t now_ns(int clock);

uint64_t pid_namespace();  // 0: cannot be told

bool is_free(const store::file::Entry& entry);
bool is_sound(const store::file::Entry& entry);  // of one that is not free

// The next ticket or fence. Under the mutex.
uint64_t draw_number();

// Who we are and since when, beside our entry; the same entry in all calls.
bool write_info(int fd, const PlainCall& call, uint32_t index);

// D1: the kernel rings the bell of a pool when this process dies. As store/file/bell.cpp does it.
bool ring_at_death(int fd);

}  // namespace cachify::quick

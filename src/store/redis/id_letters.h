#pragma once

#include <cstddef>
#include <cstdint>

namespace cachify::store::redis {

// An id: 64 random bits as digits and small letters. With more than 14 of them it would take the
// server 16 bytes more in each table.
inline constexpr size_t kIdLetters = 13;

inline void write_id(uint64_t number, char* to) {
  for (size_t i = 0; i < kIdLetters; ++i, number >>= 5U) {
    to[i] = "0123456789abcdefghijklmnopqrstuv"[number & 31U];
  }
}

}  // namespace cachify::store::redis

#pragma once

#include <cstdint>
#include <optional>

#include "store/store.h"

// What follows from a Situation, so that every command says the same about it.
namespace cachify::store {

// How many slots there are: 1 for a lock; else the stored cap, else the largest N of who holds or
// waits. nullopt: nobody has said.
std::optional<int64_t> max_of(Kind kind, const Situation& situation) noexcept;

// Slots that nobody holds; 0 also where a cap was lowered below what is in use.
std::optional<int64_t> free_of(const std::optional<int64_t>& max, int64_t size) noexcept;

}  // namespace cachify::store

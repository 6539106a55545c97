#pragma once

#include <cstdint>
#include <vector>

#include "show/look.h"
#include "show/subject.h"

namespace cachify::show {

// Whether anything is different but the time.
bool differs(const store::Situation& before, const store::Situation& after) noexcept;

// What happened between two pictures of a key, a line each: "+ slot 2 taken by pid 12 (alice):
// ...". Empty where nothing differs(), or nothing but the figures of maps.
std::vector<Line> changes_between(store::Kind kind, const store::Situation& before,
                                  const store::Situation& after, int64_t now_us);

}  // namespace cachify::show

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "show/look.h"
#include "show/subject.h"

// A situation as a table for people.
namespace cachify::show {

// The name of the user, else the number: as ps(1) has it.
std::string user_of(const store::Who& who);

// Seconds and more, as in "3m12s", from one time of the wall clock to a later one.
std::string age_text(int64_t since_us, int64_t now_us);

// "pool jobs: 3 of 4 slots in use, 2 waiting, closed (file:)"
Line headline(const Subject& subject, const store::Situation& now);

// Who holds; then who waits; then the maps under way; then what was counted: each with an empty
// line before it, and left out when there is nothing to tell.
std::vector<std::string> situation_lines(const store::Situation& now, int64_t now_us,
                                         const Look& look);

// Of `list`: one row for each key.
std::vector<std::string> list_lines(store::Kind kind, const std::vector<store::KeySummary>& keys,
                                    const Look& look);

}  // namespace cachify::show

#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "show/subject.h"

// The same as JSON. The fields are promised in man/cachify-status.1, and checked by
// tests/e2e/json_schema.py: they may become more, but never others.
namespace cachify::show {

// What `size` prints and each element of `list`: key, kind, store, max, stored_max, size, free,
// waiting, closed. `status` begins with the same.
nlohmann::ordered_json summary_json(const Subject& subject, const store::Situation& now);
nlohmann::ordered_json summary_json(const Subject& subject, const store::KeySummary& key);

// What `status` prints: the summary, holders, waiters, counters, uptime, maps.
nlohmann::ordered_json situation_json(const Subject& subject, const store::Situation& now,
                                      int64_t now_us);

// One element of its `holders`.
nlohmann::ordered_json holder_json(const store::HolderInfo& holder, int64_t now_us);

// One line, with its newline. JSON is UTF-8; where a text is none, U+FFFD stands in its place.
std::string json_line(const nlohmann::ordered_json& value);

}  // namespace cachify::show

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run/interrupts.h"
#include "store/file/directory.h"
#include "store/store.h"

// Store's functions of the same names that only look. None of them makes or changes a file.
namespace cachify::store::file {

Situation situation(const Directory& directory, Kind kind, const std::string& prefixed_key);

// The prefixed key of a state file, from its name or, where that holds a hash, from its second
// page; nullopt when it cannot be read.
std::optional<std::string> key_of(const Directory& directory, const std::string& name);

// The keys that start with `prefix`, shown without it. Throws StoreError for a state file of
// theirs that cannot be read: its key may be in use.
std::vector<KeySummary> list(const Directory& directory, Kind kind, const std::string& prefix);

bool wait_until(const Directory& directory, Kind kind, const std::string& prefixed_key,
                const std::function<bool(const Situation&)>& enough,
                const std::optional<util::MonotonicTime>& deadline, run::Interrupts& interrupts);

}  // namespace cachify::store::file

#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "resource/catalogue.h"
#include "show/look.h"
#include "show/subject.h"

// What `resource status` prints.
namespace cachify::show {

struct Resources {
  Subject subject;
  resource::Catalogue catalogue;  // settled
  store::Situation situation;     // looked at a moment later
  int64_t now_us = 0;
};

// key, kind, store, available, in_use, size, min, max, waiting, closed, made, destroyed, resources.
nlohmann::ordered_json resources_json(const Resources& now);

std::string resources_text(const Resources& now, const Look& look);

}  // namespace cachify::show

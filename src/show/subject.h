#pragma once

#include <string>

#include "store/store.h"

namespace cachify::show {

// What is looked at.
struct Subject {
  store::Kind kind = store::Kind::pool;
  std::string key;
  std::string store;  // as Store::shown_url() has it
};

}  // namespace cachify::show

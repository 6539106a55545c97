#pragma once

#include <cstdint>
#include <optional>

#include "store/store.h"

namespace cachify::map {

// Who else wants a key, as a caller sees it that holds some of its slots and could hand them on or
// give them back. A caller is a process; a map has many holders and one waiter.
struct Crowd {
  int64_t size = 0;  // slots in use
  std::optional<int64_t> stored_max;
  bool closed = false;
  int64_t callers = 1;  // who hold or wait, we among them
  int64_t waiting = 0;  // waiters of others, of our priority or above
  int64_t needy = 0;    // those of them whose process holds no slot at all
};

Crowd crowd_of(const store::Situation& situation, const store::Who& me, int priority);

// Whether one of our `held` slots goes back instead of serving our next item:
//  - when more slots are in use than there are (the pool was made smaller);
//  - when somebody waits who has none: who came first is served first, and a map is one caller
//    however many items it has;
//  - when only callers wait that have some already, such as other maps: what we have above an equal
//    share of `cap`. Two maps that have half each leave it at that.
bool gives_way(const Crowd& crowd, int64_t cap, int64_t held);

// `crowd` as it is after we have given one back, until somebody looks again.
void one_given_back(Crowd& crowd);

}  // namespace cachify::map

#pragma once

#include <functional>
#include <optional>
#include <string>

#include "run/interrupts.h"
#include "store/redis/books.h"
#include "store/redis/limit.h"
#include "store/store.h"

namespace cachify::store::redis {

// Sleeps until a key is as somebody wants it. Whoever changes the books pushes to the lists of
// those who watch, which the books name: nobody pays when nobody watches. What changes by itself (a
// lease that ends) is looked for when it is due.
// A server that has lost its data is not believed before all who hold must have added themselves
// again.
class Watch {
 public:
  using Enough = std::function<bool(const Situation&)>;
  // All have to outlive the object.
  Watch(const Address& address, Books books, const Enough& enough,
        const std::optional<util::MonotonicTime>& deadline, run::Interrupts& interrupts);

  // False: the deadline or a signal came first. Throws StoreError.
  bool run();

 private:
  // With this one, the next change wakes us.
  Picture look(bool closely);
  bool is_enough(const Situation& situation);
  bool sleep(const Picture& picture);
  void leave() noexcept;

  const Address& address_;
  const Books books_;
  const Enough& enough_;
  const Limit limit_;
  Client client_;
  std::string id_;  // empty: not registered yet
  util::Duration pause_;
  int64_t books_begun_us_ = 0;
  util::MonotonicTime in_doubt_until_;  // the server has lost data: holders are still coming back
};

}  // namespace cachify::store::redis

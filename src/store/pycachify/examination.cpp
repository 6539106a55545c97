#include "store/pycachify/examination.h"

#include <memory>

#include "store/pycachify/book.h"
#include "store/redis/failure.h"
#include "store/redis/random.h"

namespace cachify::store::pycachify {

// Takes, renews and gives back a lock and a slot of nobody else's.
void Examination::try_rights(redis::Client& client) {
  const redis::Limit limit{util::monotonic_now() + redis::kCommandTimeout, nullptr};
  Claim claim;
  claim.key = "doctor-" + redis::random_id();
  const std::string user = address_.user.empty() ? "default" : address_.user;
  try {
    for (const Kind kind : {Kind::lock, Kind::pool}) {
      claim.kind = kind;
      const std::unique_ptr<Book> book = make_book(address_, prefix_, claim);
      book->take(client, limit);
      book->keep(client, false, limit);
      book->free(client, limit);
    }
    LockBook::give_back(client, prefix_, claim.key, std::nullopt, limit);
    // A pool leaves its state behind, were it empty.
    client.command({"DEL", state_name(prefix_, claim.key)}, limit);
    good("the user '" + user + "' may do all that is needed");
  } catch (const redis::Failure& failure) {
    if (failure.kind != redis::Failure::Kind::denied) throw;
    bad("the user '" + user + "' may not do all that is needed: " + failure.what(),
        "give the user the rights in man cachify-stores, for the keys " + prefix_ + "*");
  }
}

}  // namespace cachify::store::pycachify

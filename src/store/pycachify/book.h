#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/pycachify/pickle.h"
#include "store/redis/address.h"
#include "store/redis/client.h"
#include "store/redis/failure.h"
#include "store/redis/limit.h"
#include "store/store.h"

namespace cachify::store::pycachify {

// Left for the holder of `name` whose lock or slot was given back in its place: who finds neither
// its slot nor this has lost it by mistake.
std::string note_name(const std::string& name, const std::string& id);

// How long py-cachify waits for the guard of a pool of this size before it gives up.
util::Duration guard_patience(int64_t max) noexcept;

// The name in Redis of what is kept for a key: as py-cachify puts it together.
std::string lock_name(const std::string& prefix, const std::string& key);
std::string state_name(const std::string& prefix, const std::string& key);
std::string guard_name(const std::string& prefix, const std::string& key);

// One claim on a lock or a pool, as steps that each are atomic: a call either was done wholly or
// not at all. All throw redis::Failure (it may have been done, then), redis::Interrupted where the
// limit says so, and StoreError for what cannot be understood.
class Book {
 public:
  virtual ~Book() = default;

  enum class Taken {
    ours,
    full,        // lock: held
    shed,        // --shed-at
    held_above,  // an ancestor of ours holds the lock without an end
    guarded,     // there is room, but somebody else is about to change the pool: again, soon
  };
  // What earlier calls may have taken in spite of a Failure becomes this one's, so that it can be
  // repeated after doubt().
  virtual Taken take(redis::Client& client, const redis::Limit& limit) = 0;
  // After a Failure of take(). Where it may have been done all the same, the next one goes under
  // another name, so that an undoing which comes late cannot hit it.
  void doubt(const redis::Failure& failure);

  enum class Kept {
    kept,
    again,     // it was not there any more, and is ours again
    lost,      // it is somebody else's
    released,  // somebody gave it back in our place
    guarded,
  };
  // Moves the end on. `overdue`: others may have taken it for free meanwhile.
  virtual Kept keep(redis::Client& client, bool overdue, const redis::Limit& limit) = 0;

  // Gives back what take() took or may have taken, nobody else's. False: guarded, again soon.
  virtual bool free(redis::Client& client, const redis::Limit& limit) = 0;

  // Behind take(): what it gave, and when (CLOCK_BOOTTIME, before it was sent) it counts from.
  virtual Grant grant() const = 0;
  int64_t confirmed_at() const noexcept { return confirmed_at_; }
  // Slots in use, as the last take() saw them.
  int64_t used() const noexcept { return used_; }
  bool in_doubt() const noexcept { return in_doubt_; }
  util::Duration lease() const noexcept { return lease_; }

 protected:
  Book(Claim claim, util::Duration lease) : claim_(std::move(claim)), lease_(lease) {}

  // What take() puts into the store, and a new one for the next time.
  virtual const std::string& mark() const noexcept = 0;
  virtual void rename() = 0;

  const Claim claim_;
  const util::Duration lease_;
  int64_t confirmed_at_ = 0;
  int64_t used_ = 0;
  bool in_doubt_ = false;              // something of ours may be in the store
  std::vector<std::string> doubtful_;  // what earlier calls may have put there
};

std::unique_ptr<Book> make_book(const redis::Address& address, const std::string& prefix,
                                const Claim& claim);

// A lock: `SET key <pickled owner> NX`, as one script that knows us again.
class LockBook : public Book {
 public:
  LockBook(const std::string& prefix, const Claim& claim, util::Duration lease);

  Taken take(redis::Client& client, const redis::Limit& limit) override;
  Kept keep(redis::Client& client, bool overdue, const redis::Limit& limit) override;
  bool free(redis::Client& client, const redis::Limit& limit) override;
  Grant grant() const override;

  // 1 or 0.
  static int64_t size(redis::Client& client, const std::string& prefix, const std::string& key,
                      const redis::Limit& limit);
  // In place of the holder, whoever it is (`id`: only that one). 1 or 0.
  static int64_t give_back(redis::Client& client, const std::string& prefix, const std::string& key,
                           const std::optional<std::string>& id, const redis::Limit& limit);

 private:
  const std::string& mark() const noexcept override { return value_; }
  void rename() override;
  bool held_above(const std::string& value) const;
  redis::Command free_command() const;

  const std::string name_;
  Owner owner_;
  std::string value_;  // owner_ as it is kept
};

// A pool: the pickled state is read, changed here and put back, if meanwhile it has not changed and
// nobody holds the guard.
class PoolBook : public Book {
 public:
  PoolBook(const std::string& prefix, const Claim& claim, util::Duration lease);

  Taken take(redis::Client& client, const redis::Limit& limit) override;
  Kept keep(redis::Client& client, bool overdue, const redis::Limit& limit) override;
  bool free(redis::Client& client, const redis::Limit& limit) override;
  Grant grant() const override;

  static int64_t size(redis::Client& client, const std::string& prefix, const std::string& key,
                      const redis::Limit& limit);
  // In place of the holder `id`, or of all. How many; nullopt: guarded, again soon.
  static std::optional<int64_t> give_back(redis::Client& client, const std::string& prefix,
                                          const std::string& key,
                                          const std::optional<std::string>& id,
                                          const redis::Limit& limit);

 private:
  const std::string& mark() const noexcept override { return id_; }
  void rename() override;
  bool is_mine(const std::string& id) const;
  bool is_shed(int64_t used) const;
  double end_from_now() const;

  const std::string name_;   // of the state
  const std::string guard_;  // of its lock
  std::array<uint64_t, 2> random_{};
  std::string id_;
  int64_t slot_ = 0;
};

}  // namespace cachify::store::pycachify

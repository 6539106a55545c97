#pragma once

#include <optional>
#include <string>

#include "store/redis/books.h"
#include "store/redis/client.h"
#include "store/store.h"

namespace cachify::store::redis {

// Shows a map to others, on a connection of its own: one round trip every 2 s at most, while
// something changes, and every 5 s at least, as what was shown holds for 15 s. Not in the first
// moment: a short map pays nothing. Nobody waits for an answer; only a new connection takes its
// time.
//
// A second connection is subscribed to the channel of the pool's maps. What a message that was lost
// would have told, the next answer tells.
class RedisMapRecord : public MapRecord {
 public:
  // `address` must outlive the object.
  RedisMapRecord(const Address& address, Books books, Who who);
  ~RedisMapRecord() override;
  RedisMapRecord(const RedisMapRecord&) = delete;
  RedisMapRecord& operator=(const RedisMapRecord&) = delete;

  void update(const MapFigures& figures) noexcept override;
  std::optional<util::MonotonicTime> next_update() const noexcept override;
  News news() noexcept override;
  int news_fd() const noexcept override;

 private:
  void read_answer(util::MonotonicTime now);
  void send(const MapFigures& figures, util::MonotonicTime now);
  void subscribe(const Limit& limit) noexcept;
  void stop_listening() noexcept;
  void failed(const char* why, util::MonotonicTime now) noexcept;

  const Books books_;
  const Who who_;
  Client client_;
  std::string id_;     // empty until it was shown for the first time
  std::string since_;  // as the server has it
  const util::MonotonicTime began_;
  std::optional<MapFigures> shown_;
  bool differs_ = true;  // from what is to be shown
  bool awaited_ = false;
  util::MonotonicTime sent_{};
  util::MonotonicTime not_before_;  // for the next request
  util::MonotonicTime refresh_;     // when what was shown has to be said again
  util::MonotonicTime look_for_answer_{};
  util::Duration look_pause_{};
  util::Duration pause_;  // after the next failure

  Client ear_;
  bool deaf_ = false;       // we may not subscribe
  bool listening_ = false;  // subscribed, and others know, or will at once, that there is a map
  News news_ = News::none;  // not told yet
  std::string settings_;    // as the last answer said
};

}  // namespace cachify::store::redis

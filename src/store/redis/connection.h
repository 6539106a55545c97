#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "store/redis/address.h"
#include "store/redis/limit.h"
#include "store/redis/reply.h"
#include "store/redis/transport.h"
#include "util/unique_fd.h"

namespace cachify::store::redis {

// One connection to one server. Commands may be sent before the answers to earlier ones were read;
// answers come in that order. After any exception the connection is of no use any more.
class Connection {
 public:
  // Connects. AUTH and SELECT, as the address says, go with the first command that is sent and
  // their answers are checked with its answer: they cost no round trip. `plain_database`: stay in
  // database 0 and say nothing about users (sentinels). With a `name` it is called so in the
  // server's list of clients, if the server allows that. Throws Failure and Interrupted.
  Connection(const Endpoint& endpoint, const Address& address, bool with_login, const Limit& limit,
             const std::string& name = {});

  // One that is there already, on which `sent` commands have been written, after CLIENT SETNAME
  // with `named`; `answers`: what has been read of their answers.
  Connection(const Endpoint& endpoint, util::UniqueFd socket, bool named, int sent,
             std::string_view answers);

  const Endpoint& endpoint() const noexcept { return endpoint_; }
  int fd() const noexcept { return socket_.get(); }

  void send(const Command& command);
  // Writes what was sent. Throws Failure and Interrupted.
  void flush(const Limit& limit);
  // The next answer; an error is an answer, too. Throws Failure when it does not come in time, or
  // the connection ends; Interrupted.
  Reply receive(const Limit& limit);
  // The next answer if it is there already.
  std::optional<Reply> try_receive();
  // How many answers have not been read.
  int awaited() const noexcept { return awaited_; }

  // Reads the text `name` and subscribes to the channel `name`, in one step, so that nothing that
  // is written to the one and published to the other can be missed. To be sent when nothing is
  // awaited. What comes of it is noticed while answers are looked for and is none itself; the next
  // command ends it.
  void listen(const std::string& name);
  // The text, or the last message since; of subscribe() all messages, one behind the other; empty:
  // none. Told once.
  std::string heard() { return std::exchange(heard_, {}); }
  // Subscribes to a channel, reading nothing before, and waits until that is done. False: the
  // server has refused. To be called when nothing is awaited; throws as receive() does.
  bool subscribe(const std::string& channel, const Limit& limit);
  // The server has refused to let us listen: rights are missing.
  bool deaf() const noexcept { return deaf_; }

 private:
  std::optional<Reply> next_reply();
  bool digest_listening(const Reply& reply);
  bool read_some();
  [[noreturn]] void broken(const std::string& why) const;

  Endpoint endpoint_;
  util::UniqueFd socket_;
  std::unique_ptr<Transport> transport_;
  ReplyReader reader_;
  std::string unsent_;
  int logins_ = 0;  // answers to AUTH, SELECT and CLIENT SETNAME that are still to come
  bool named_ = false;
  int awaited_ = 0;  // answers to commands
  bool listening_ = false;
  bool subscribed_ = false;
  int listen_answers_ = 0;  // of listen(), or to its end, that are still to come: before others
  std::string heard_;
  bool deaf_ = false;
};

}  // namespace cachify::store::redis

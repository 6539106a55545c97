#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/redis/address.h"
#include "store/redis/connection.h"
#include "store/redis/scripts.h"

namespace cachify::store::redis {

// Finds the server that is to be asked (the only one, the master that the sentinels name, the
// cluster's node of a key) and asks it. One request at a time; after a Failure the next request
// starts on a new connection, so that it can simply be repeated: every script allows for that.
class Client {
 public:
  // `address` has to outlive the object.
  explicit Client(const Address& address) : address_(address) {}

  // What the server's list of clients is to call us; for connections that are made afterwards.
  void set_name(std::string name) { name_ = std::move(name); }

  // One request in steps, for those who must not block meanwhile. `behind` is sent in the same
  // write, right behind the script; its answer is for receive(). All throw Failure, and
  // Interrupted where the limit says so.
  void send(const Script& script, const Keys& keys, const std::vector<std::string>& arguments,
            const Limit& limit, const Command& behind = {});
  // The script's answer, never an error. NOSCRIPT and redirections are followed on the way.
  Reply answer(const Limit& limit);
  std::optional<Reply> try_answer();

  // All of it; one command has kCommandTimeout at most. Not repeated.
  Reply request(const Script& script, const Keys& keys, const std::vector<std::string>& arguments,
                const Limit& limit, const Command& behind = {});
  // A plain command; an error throws.
  Reply command(const Command& command, const Limit& limit);

  // A request that fails may have been done, or be done later by a server that hangs. This is sent
  // behind it before the connection is closed.
  void undo_with(const Script& script, const Keys& keys, const std::vector<std::string>& arguments);
  void undo_with(Command command) { undo_ = std::move(command); }
  void forget_undo() noexcept { undo_.clear(); }

  // The connection to the server, made when there is none. In a cluster to one of its nodes, until
  // a request has found out which one has the key.
  Connection& connect(const Limit& limit);
  // The connection, once something was sent; nullptr: none.
  Connection* connection() noexcept { return connection_.get(); }
  const Connection* connection() const noexcept { return connection_.get(); }
  // Ends the connection, as after a Failure.
  void disconnect() noexcept { connection_.reset(); }
  // The same for an error that came outside of a request (in the answer to a `behind`).
  [[noreturn]] void fail(const Reply& error);

 private:
  void connect_single(const Endpoint& endpoint, const Limit& limit);
  void connect_by_sentinels(const Limit& limit);
  void connect_in_cluster(const Limit& limit);
  Endpoint ask_sentinel(const Endpoint& sentinel, const Limit& limit) const;
  void take_over();
  void transmit(bool in_full, const Limit& limit);
  void give_up() noexcept;
  // Nothing when the request was sent again elsewhere or in full.
  std::optional<Reply> digest(Reply reply, const Limit& limit);

  const Address& address_;
  std::string name_;
  std::unique_ptr<Connection> connection_;
  size_t next_endpoint_ = 0;      // the sentinel or seed to ask first
  std::optional<Endpoint> node_;  // cluster: where the key is, as far as we know
  bool asking_ = false;           // cluster: the request goes there by exception
  bool asking_answer_due_ = false;

  // The request under way.
  const Script* script_ = nullptr;
  Command evalsha_;
  Command behind_;
  int redirections_ = 0;
  Command undo_;
};

}  // namespace cachify::store::redis

#include "store/redis/client.h"

#include <utility>

#include "quick/handover.h"
#include "store/redis/failure.h"
#include "store/redis/server_error.h"

namespace cachify::store::redis {

namespace {

constexpr int kMostRedirections = 5;
constexpr size_t kFirstKey = 3;  // word of an EVALSHA: Keys::holders()

}  // namespace

Connection& Client::connect(const Limit& limit) {
  if (connection_) return *connection_;
  const Limit attempt = limit.within(address_.connect_timeout);
  switch (address_.topology) {
    case Address::Topology::single:
      connect_single(address_.endpoints.front(), attempt);
      break;
    case Address::Topology::sentinel:
      connect_by_sentinels(attempt);
      break;
    case Address::Topology::cluster:
      connect_in_cluster(attempt);
      break;
  }
  return *connection_;
}

void Client::connect_single(const Endpoint& endpoint, const Limit& limit) {
  connection_ = std::make_unique<Connection>(endpoint, address_, true, limit, name_);
}

// Throws Failure when this sentinel is of no help.
Endpoint Client::ask_sentinel(const Endpoint& sentinel, const Limit& limit) const {
  Connection connection(sentinel, address_, false, limit);
  connection.send({"SENTINEL", "get-master-addr-by-name", address_.master});
  connection.flush(limit);
  const Reply reply = connection.receive(limit.within(kCommandTimeout));
  if (reply.is_error()) throw_failure(reply, sentinel);
  if (reply.type == Reply::Type::nil) {
    throw Failure(Failure::Kind::elsewhere,
                  sentinel.text() + ": this sentinel knows no master '" + address_.master + "'");
  }
  const auto port = parse_endpoint("x:" + reply.at(1).string(), 0);
  if (!port) throw Failure(Failure::Kind::senseless, sentinel.text() + ": answers without a port");
  return Endpoint{reply.at(0).string(), port->port, {}};
}

void Client::connect_by_sentinels(const Limit& limit) {
  const size_t count = address_.endpoints.size();
  size_t silent = 0;
  for (size_t tried = 1;; ++tried) {
    bool asked = false;
    // Each gets its share of what is left.
    const util::Duration left = limit.until - util::monotonic_now();
    const auto share = static_cast<int64_t>(count - tried + 1);
    try {
      const Endpoint master =
          ask_sentinel(address_.endpoints[next_endpoint_], limit.within(left / (share + 1)));
      asked = true;
      connect_single(master, limit);
      connection_->send({"ROLE"});
      connection_->flush(limit);
      const Reply role = connection_->receive(limit.within(kCommandTimeout));
      if (role.is_error()) throw_failure(role, master);
      if (role.at(0).string() == "master") return;
      throw Failure(Failure::Kind::elsewhere, master.text() + ": it is not the master now");
    } catch (const Failure& failure) {
      connection_.reset();
      // The next one may know better: this one can be cut off from the rest.
      next_endpoint_ = (next_endpoint_ + 1) % count;
      if (!asked && failure.kind == Failure::Kind::unreachable) ++silent;
      if (silent == count) throw Failure(Failure::Kind::nobody, failure.what());
      if (tried >= count || failure.kind == Failure::Kind::denied) throw;
    }
  }
}

void Client::connect_in_cluster(const Limit& limit) {
  if (node_) {
    const Endpoint node = *node_;
    node_.reset();  // should it fail, the seeds know better
    connect_single(node, limit);
    node_ = node;
    return;
  }
  const size_t count = address_.endpoints.size();
  size_t silent = 0;
  for (size_t tried = 1;; ++tried) {
    const util::Duration left = limit.until - util::monotonic_now();
    const auto share = static_cast<int64_t>(count - tried + 1);
    try {
      connect_single(address_.endpoints[next_endpoint_], limit.within(left / share));
      return;
    } catch (const Failure& failure) {
      next_endpoint_ = (next_endpoint_ + 1) % count;
      if (failure.kind == Failure::Kind::unreachable) ++silent;
      if (silent == count) throw Failure(Failure::Kind::nobody, failure.what());
      if (tried >= count) throw;
    }
  }
}

// Writes the request under way.
void Client::transmit(bool in_full, const Limit& limit) {
  Connection& connection = connect(limit);
  asking_answer_due_ = asking_;
  if (asking_) connection.send({"ASKING"});
  if (in_full) {
    Command eval = evalsha_;
    eval[0] = "EVAL";
    eval[1] = script_->text;
    connection.send(eval);
  } else {
    connection.send(evalsha_);
  }
  if (!behind_.empty()) connection.send(behind_);
  connection.flush(limit);
}

void Client::send(const Script& script, const Keys& keys, const std::vector<std::string>& arguments,
                  const Limit& limit, const Command& behind) {
  script_ = &script;
  evalsha_ = {"EVALSHA", std::string(script.sha1), std::to_string(keys.names.size())};
  evalsha_.insert(evalsha_.end(), keys.names.begin(), keys.names.end());
  evalsha_.insert(evalsha_.end(), arguments.begin(), arguments.end());
  behind_ = behind;
  redirections_ = 0;
  try {
    if (std::exchange(quick::handover.asked, false)) {
      take_over();
    } else {
      transmit(false, limit);
    }
  } catch (...) {
    give_up();
    throw;
  }
}

// The quick start has sent this already: it was the first request of this program.
void Client::take_over() {
  const quick::Handover& done = quick::handover;
  connection_ = std::make_unique<Connection>(
      address_.endpoints.front(), util::UniqueFd(done.socket), !name_.empty(),
      behind_.empty() ? 1 : 2, std::string_view(done.answer, done.answer_size));
}

// After an exception inside a request.
void Client::give_up() noexcept {
  asking_ = false;
  if (connection_ && !undo_.empty()) {
    try {
      // The server works through a connection in order, also after we have gone.
      connection_->send(undo_);
      connection_->flush({util::monotonic_now(), nullptr});
    } catch (...) {
      // Then the lease ends it.
    }
  }
  disconnect();
}

void Client::undo_with(const Script& script, const Keys& keys,
                       const std::vector<std::string>& arguments) {
  undo_ = {"EVAL", script.text, std::to_string(keys.names.size())};
  undo_.insert(undo_.end(), keys.names.begin(), keys.names.end());
  undo_.insert(undo_.end(), arguments.begin(), arguments.end());
}

std::optional<Reply> Client::digest(Reply reply, const Limit& limit) {
  if (asking_answer_due_) {
    asking_answer_due_ = false;
    if (reply.is_error()) fail(reply);
    return std::nullopt;
  }
  if (!reply.is_error()) {
    asking_ = false;
    return reply;
  }
  if (is_noscript(reply)) {
    // What is behind has begun to block: only another connection can be used for more.
    if (!behind_.empty()) disconnect();
    transmit(true, limit);
    return std::nullopt;
  }
  const auto to = redirection(reply, connection_->endpoint());
  if (!to || address_.topology != Address::Topology::cluster) fail(reply);
  const std::string text = connection_->endpoint().text() + ": " + reply.text;
  disconnect();
  // A slot on the move: who wants to sleep there waits until it has arrived.
  if (to->ask && !behind_.empty()) throw Failure(Failure::Kind::busy, text);
  if (++redirections_ > kMostRedirections) throw Failure(Failure::Kind::busy, text);
  node_ = to->endpoint;
  asking_ = to->ask;
  transmit(false, limit);
  return std::nullopt;
}

void Client::fail(const Reply& error) {
  const Endpoint from = connection_ ? connection_->endpoint() : address_.endpoints.front();
  disconnect();
  if (is_wrong_type(error) && evalsha_.size() > kFirstKey) {
    const std::string& holders = evalsha_[kFirstKey];
    throw_damaged(holders.substr(0, holders.size() - 1));
  }
  throw_failure(error, from);
}

std::optional<Reply> Client::try_answer() {
  // What has to be sent again is short, and a new connection bounded by this.
  const Limit limit{util::monotonic_now() + kCommandTimeout, nullptr};
  try {
    while (auto reply = connection_->try_receive()) {
      if (auto answer = digest(std::move(*reply), limit)) return answer;
    }
    return std::nullopt;
  } catch (...) {
    give_up();
    throw;
  }
}

Reply Client::answer(const Limit& limit) {
  try {
    while (true) {
      if (auto answer = digest(connection_->receive(limit), limit)) return std::move(*answer);
    }
  } catch (...) {
    give_up();
    throw;
  }
}

Reply Client::request(const Script& script, const Keys& keys,
                      const std::vector<std::string>& arguments, const Limit& limit,
                      const Command& behind) {
  send(script, keys, arguments, limit, behind);
  return answer(limit.within(kCommandTimeout));
}

Reply Client::command(const Command& command, const Limit& limit) {
  try {
    Connection& connection = connect(limit);
    connection.send(command);
    connection.flush(limit);
    Reply reply = connection.receive(limit.within(kCommandTimeout));
    if (reply.is_error()) fail(reply);
    return reply;
  } catch (...) {
    give_up();
    throw;
  }
}

}  // namespace cachify::store::redis

#include "store/redis/connection.h"

#include <poll.h>

#include <array>
#include <cerrno>

#include "store/redis/failure.h"
#include "store/redis/server_error.h"
#include "store/redis/socket.h"
#include "util/errno_text.h"

namespace cachify::store::redis {

Connection::Connection(const Endpoint& endpoint, const Address& address, bool with_login,
                       const Limit& limit, const std::string& name)
    : endpoint_(endpoint), socket_(connect_to(endpoint, limit)) {
  transport_ = address.tls ? make_tls_transport(socket_.get(), address, endpoint.host)
                           : make_plain_transport(socket_.get());
  if (!with_login) return;
  if (address.password) {
    Command command{"AUTH"};
    if (!address.user.empty()) command.push_back(address.user);
    command.push_back(*address.password);
    append(unsent_, command);
    ++logins_;
  }
  if (address.database != 0) {
    append(unsent_, {"SELECT", std::to_string(address.database)});
    ++logins_;
  }
  if (!name.empty()) {
    append(unsent_, {"CLIENT", "SETNAME", name});
    ++logins_;
    named_ = true;
  }
}

Connection::Connection(const Endpoint& endpoint, util::UniqueFd socket, bool named, int sent,
                       std::string_view answers)
    : endpoint_(endpoint),
      socket_(std::move(socket)),
      transport_(make_plain_transport(socket_.get())),
      logins_(named ? 1 : 0),
      named_(named),
      awaited_(sent) {
  reader_.feed(answers.data(), answers.size());
}

void Connection::send(const Command& command) {
  if (listening_) {
    // A subscriber may not say anything else.
    append(unsent_, {"UNSUBSCRIBE"});
    ++listen_answers_;
    listening_ = false;
  }
  append(unsent_, command);
  ++awaited_;
}

void Connection::listen(const std::string& name) {
  append(unsent_, {"MULTI"});
  append(unsent_, {"GET", name});
  append(unsent_, {"SUBSCRIBE", name});
  append(unsent_, {"EXEC"});
  listen_answers_ += 4;
  listening_ = true;
}

bool Connection::subscribe(const std::string& channel, const Limit& limit) {
  append(unsent_, {"SUBSCRIBE", channel});
  ++listen_answers_;
  listening_ = true;
  subscribed_ = false;
  flush(limit);
  while (true) {
    static_cast<void>(next_reply());
    if (listen_answers_ == 0) return subscribed_;
    if (read_some()) continue;
    if (!wait_for(fd(), transport_->events_for_read(), limit)) broken("no answer in time");
  }
}

// Whether it belongs to listen().
bool Connection::digest_listening(const Reply& reply) {
  const bool array = reply.type == Reply::Type::array;
  if (array && reply.elements.size() == 3 && reply.elements[0].text == "message") {
    heard_ = (subscribed_ ? heard_ : "") + reply.elements[2].text;
    return true;
  }
  if (listen_answers_ == 0) return false;
  --listen_answers_;
  if (array && !reply.elements.empty() && reply.elements[0].text == "subscribe") subscribed_ = true;
  if (reply.is_error() && kind_of(reply.text) == Failure::Kind::denied) deaf_ = true;
  // EXEC's.
  if (array && reply.elements.size() == 2 && reply.elements[0].type == Reply::Type::string) {
    heard_ = reply.elements[0].text;
  }
  return true;
}

void Connection::broken(const std::string& why) const {
  throw Failure(Failure::Kind::broken, endpoint_.text() + ": " + why);
}

void Connection::flush(const Limit& limit) {
  size_t done = 0;
  while (done < unsent_.size()) {
    const ssize_t size = transport_->write(unsent_.data() + done, unsent_.size() - done);
    if (size > 0) {
      done += static_cast<size_t>(size);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(fd(), transport_->events_for_write(), limit)) broken("no answer in time");
    } else if (errno != EINTR) {
      broken(util::errno_text(errno));
    }
  }
  unsent_.clear();
}

// False: nothing there now.
bool Connection::read_some() {
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t size = transport_->read(buffer.data(), buffer.size());
    if (size > 0) {
      reader_.feed(buffer.data(), static_cast<size_t>(size));
      return true;
    }
    if (size == 0) broken("it closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno != EINTR) broken(util::errno_text(errno));
  }
}

std::optional<Reply> Connection::next_reply() {
  while (true) {
    std::optional<Reply> reply;
    try {
      reply = reader_.next();
    } catch (const Failure& failure) {
      throw Failure(failure.kind, endpoint_.text() + ": " + failure.what());
    }
    if (!reply) return std::nullopt;
    if (logins_ > 0) {
      --logins_;
      const bool is_name = named_ && logins_ == 0;
      if (reply->is_error() && !is_name) throw_failure(*reply, endpoint_);
      continue;
    }
    if (digest_listening(*reply)) continue;
    --awaited_;
    return reply;
  }
}

Reply Connection::receive(const Limit& limit) {
  while (true) {
    if (auto reply = next_reply()) return std::move(*reply);
    if (read_some()) continue;
    if (!wait_for(fd(), transport_->events_for_read(), limit)) broken("no answer in time");
  }
}

std::optional<Reply> Connection::try_receive() {
  while (true) {
    if (auto reply = next_reply()) return reply;
    if (!read_some()) return std::nullopt;
  }
}

}  // namespace cachify::store::redis

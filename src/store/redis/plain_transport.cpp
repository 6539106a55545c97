#include <poll.h>
#include <sys/socket.h>

#include "store/redis/transport.h"

namespace cachify::store::redis {

namespace {

class PlainTransport : public Transport {
 public:
  explicit PlainTransport(int socket) : socket_(socket) {}
  ssize_t read(void* to, size_t size) override { return ::recv(socket_, to, size, 0); }
  ssize_t write(const void* from, size_t size) override {
    return ::send(socket_, from, size, MSG_NOSIGNAL);
  }
  short events_for_read() const noexcept override { return POLLIN; }
  short events_for_write() const noexcept override { return POLLOUT; }

 private:
  int socket_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(int socket) {
  return std::make_unique<PlainTransport>(socket);
}

}  // namespace cachify::store::redis

#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "store/redis/address.h"

namespace cachify::store::redis {

// How bytes get over a connected, non-blocking socket. Neither call blocks or raises SIGPIPE.
// Like read(2) and write(2): -1 with errno EAGAIN when it cannot go on now, and 0 from read for the
// end. Throws Failure where errno cannot say what is wrong.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual ssize_t read(void* to, size_t size) = 0;
  virtual ssize_t write(const void* from, size_t size) = 0;
  // What poll(2) has to wait for before a call that said EAGAIN can go on.
  virtual short events_for_read() const noexcept = 0;
  virtual short events_for_write() const noexcept = 0;
};

std::unique_ptr<Transport> make_plain_transport(int socket);

// TLS is not in libcachify: loading OpenSSL costs more than the rest of a start, and a static
// program cannot load it later. So there are two programs of the same sources: `cachify-tls` is
// linked with tls_openssl.cpp, `cachify` with tls_elsewhere.cpp, which becomes the other program.

// Called before anything else is done with a rediss:// URL. Returns in the program that has TLS;
// the other one executes it (same arguments, environment, descriptors and signals) and returns
// never. Throws Error when it is not there, or OpenSSL is not.
void require_tls();

// Who does TLS here, for people: a library, or a program that can be started; empty: none.
std::string tls_provider();

// A TLS client on the socket; the handshake takes place in the first calls. The server's
// certificate must be valid for `host`. Throws Failure, and ConfigError for files that cannot be
// used.
std::unique_ptr<Transport> make_tls_transport(int socket, const Address& address,
                                              const std::string& host);

}  // namespace cachify::store::redis

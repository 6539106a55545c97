#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <climits>
#include <string>

#include "errors.h"
#include "store/redis/failure.h"
#include "store/redis/transport.h"
#include "util/errno_text.h"

namespace cachify::store::redis {

namespace {

template <auto function>
struct FreeBy {
  template <class T>
  void operator()(T* object) const noexcept {
    function(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, FreeBy<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, FreeBy<SSL_free>>;

std::string last_error() {
  const unsigned long code = ::ERR_get_error();
  ::ERR_clear_error();
  const char* reason = code != 0 ? ::ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "TLS failed";
}

// OpenSSL's own socket BIO writes with write(2), and that can raise SIGPIPE.
int bio_write(BIO* bio, const char* from, int size) {
  const int socket = static_cast<int>(reinterpret_cast<intptr_t>(::BIO_get_data(bio)));
  const ssize_t done = ::send(socket, from, static_cast<size_t>(size), MSG_NOSIGNAL);
  BIO_clear_retry_flags(bio);
  if (done < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(done);
}

int bio_read(BIO* bio, char* to, int size) {
  const int socket = static_cast<int>(reinterpret_cast<intptr_t>(::BIO_get_data(bio)));
  const ssize_t done = ::recv(socket, to, static_cast<size_t>(size), 0);
  BIO_clear_retry_flags(bio);
  if (done < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(done);
}

long bio_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO* make_bio(int socket) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = ::BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    ::BIO_meth_set_write(made, bio_write);
    ::BIO_meth_set_read(made, bio_read);
    ::BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  BIO* bio = ::BIO_new(method);
  if (bio == nullptr) throw std::bad_alloc();
  // A number in a pointer's place is how OpenSSL keeps a BIO's state.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  ::BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
  ::BIO_set_init(bio, 1);
  return bio;
}

Context make_context(const Address& address) {
  Context context(::SSL_CTX_new(TLS_client_method()));
  if (!context) throw Error(kExitInternal, "cannot start TLS: " + last_error());
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  ::SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const auto check = [](int result, const std::string& option, const std::string& file) {
    if (result != 1) throw ConfigError(option + "=" + file + " cannot be used: " + last_error());
  };
  if (address.ca_file.empty()) {
    ::SSL_CTX_set_default_verify_paths(context.get());
  } else {
    check(::SSL_CTX_load_verify_locations(context.get(), address.ca_file.c_str(), nullptr),
          "cacert", address.ca_file);
  }
  if (!address.certificate_file.empty()) {
    check(::SSL_CTX_use_certificate_chain_file(context.get(), address.certificate_file.c_str()),
          "cert", address.certificate_file);
    check(::SSL_CTX_use_PrivateKey_file(context.get(), address.key_file.c_str(), SSL_FILETYPE_PEM),
          "key", address.key_file);
    check(::SSL_CTX_check_private_key(context.get()), "key", address.key_file);
  }
  return context;
}

bool is_number(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

class TlsTransport : public Transport {
 public:
  TlsTransport(int socket, const Address& address, const std::string& host)
      : context_(make_context(address)), session_(::SSL_new(context_.get())) {
    if (!session_) throw std::bad_alloc();
    BIO* bio = make_bio(socket);
    ::SSL_set_bio(session_.get(), bio, bio);
    ::SSL_set_connect_state(session_.get());
    X509_VERIFY_PARAM* parameters = ::SSL_get0_param(session_.get());
    const bool named = is_number(host)
                           ? ::X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1
                           : ::SSL_set1_host(session_.get(), host.c_str()) == 1 &&
                                 ::SSL_set_tlsext_host_name(session_.get(), host.c_str()) == 1;
    if (!named) throw Failure(Failure::Kind::denied, host + ": not a name that TLS can check");
  }

  ssize_t read(void* to, size_t size) override {
    return finish(::SSL_read(session_.get(), to, to_int(size)), read_events_);
  }
  ssize_t write(const void* from, size_t size) override {
    return finish(::SSL_write(session_.get(), from, to_int(size)), write_events_);
  }
  short events_for_read() const noexcept override { return read_events_; }
  short events_for_write() const noexcept override { return write_events_; }

 private:
  static int to_int(size_t size) { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

  ssize_t finish(int result, short& events) {
    if (result > 0) return result;
    const int saved = errno;
    switch (::SSL_get_error(session_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        events = POLLIN;
        errno = EAGAIN;
        return -1;
      case SSL_ERROR_WANT_WRITE:
        events = POLLOUT;
        errno = EAGAIN;
        return -1;
      case SSL_ERROR_ZERO_RETURN:
        return 0;
      case SSL_ERROR_SYSCALL:
        ::ERR_clear_error();
        // An end without a good-bye comes with no errno.
        if (saved == 0 || result == 0) return 0;
        errno = saved;
        return -1;
      default:
        break;
    }
    const long verified = ::SSL_get_verify_result(session_.get());
    if (verified != X509_V_OK) {
      ::ERR_clear_error();
      throw Failure(Failure::Kind::denied,
                    std::string("the server's certificate is not accepted: ") +
                        ::X509_verify_cert_error_string(verified));
    }
    const std::string reason = last_error();
    // OpenSSL 3 says it so.
    if (reason == "unexpected eof while reading") return 0;
    throw Failure(Failure::Kind::denied, "TLS: " + reason);
  }

  Context context_;
  Session session_;
  short read_events_ = POLLIN;
  short write_events_ = POLLOUT;
};

}  // namespace

std::string tls_provider() {
  return ::OpenSSL_version(OPENSSL_VERSION);
}

void require_tls() {}

std::unique_ptr<Transport> make_tls_transport(int socket, const Address& address,
                                              const std::string& host) {
  return std::make_unique<TlsTransport>(socket, address, host);
}

}  // namespace cachify::store::redis

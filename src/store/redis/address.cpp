#include "store/redis/address.h"

#include <array>

#include "errors.h"
#include "util/parse.h"
#include "util/text.h"
#include "util/time_text.h"

namespace cachify::store::redis {

namespace {

constexpr uint16_t kPort = 6379;
constexpr uint16_t kSentinelPort = 26379;

struct Scheme {
  std::string_view name;
  Address::Topology topology;
  bool tls;
  bool unix_socket;
  bool polled = false;  // the layout of py-cachify: other options
};
constexpr std::array<Scheme, 9> kSchemes = {
    Scheme{"redis", Address::Topology::single, false, false},
    Scheme{"rediss", Address::Topology::single, true, false},
    Scheme{"redis+unix", Address::Topology::single, false, true},
    Scheme{"redis+sentinel", Address::Topology::sentinel, false, false},
    Scheme{"redis+cluster", Address::Topology::cluster, false, false},
    Scheme{"py-cachify+redis", Address::Topology::single, false, false, true},
    Scheme{"py-cachify+rediss", Address::Topology::single, true, false, true},
    Scheme{"py-cachify+redis+unix", Address::Topology::single, false, true, true},
    Scheme{"py-cachify+redis+sentinel", Address::Topology::sentinel, false, false, true},
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Parts of one URL, taken off from the left; `shown` is what messages may say.
class Parser {
 public:
  explicit Parser(const std::string& url) : rest_(url) {}

  Address parse() {
    read_scheme();
    const size_t question = rest_.find('?');
    std::string_view options;
    if (question != std::string_view::npos) {
      options = rest_.substr(question + 1);
      rest_ = rest_.substr(0, question);
    }
    read_user();
    address_.shown = std::string(scheme_->name) + "://" + std::string(rest_);
    if (scheme_->unix_socket) {
      read_socket();
    } else {
      read_hosts();
    }
    while (!options.empty()) {
      const size_t end = options.find('&');
      read_option(options.substr(0, end));
      options = end == std::string_view::npos ? std::string_view() : options.substr(end + 1);
    }
    if (address_.certificate_file.empty() != address_.key_file.empty()) {
      wrong("cert= and key= go together");
    }
    return std::move(address_);
  }

 private:
  [[noreturn]] void wrong(const std::string& what) const {
    throw UsageError("the store " + util::quoted(address_.shown) + ": " + what);
  }

  std::string decoded(std::string_view text) const {
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        result += text[i];
        continue;
      }
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) wrong("a % must be followed by two hexadecimal digits (%25 for %)");
      if (high == 0 && low == 0) wrong("%00 cannot be part of it");
      result += static_cast<char>(high * 16 + low);
      i += 2;
    }
    return result;
  }

  void read_scheme() {
    const size_t end = rest_.find("://");
    const std::string_view name = rest_.substr(0, end);
    for (const Scheme& scheme : kSchemes) {
      if (scheme.name == name) scheme_ = &scheme;
    }
    if (scheme_ == nullptr || end == std::string_view::npos) {
      address_.shown = std::string(rest_.substr(0, rest_.find(':')));
      wrong(
          "its URL must begin with redis://, rediss://, redis+unix://, redis+sentinel:// or "
          "redis+cluster://, the first four also with py-cachify+ before them");
    }
    rest_ = rest_.substr(end + 3);
    address_.shown = std::string(name) + "://";
    address_.topology = scheme_->topology;
    address_.tls = scheme_->tls;
  }

  void read_user() {
    // The last one: who forgets to escape a password's @ is not to see it in a message.
    const size_t at = rest_.rfind('@');
    if (at == std::string_view::npos) return;
    const std::string_view user = rest_.substr(0, at);
    rest_ = rest_.substr(at + 1);
    const size_t colon = user.find(':');
    if (user.find_first_of("/@", 0) != std::string_view::npos) {
      wrong("write / and @ in the user or the password as %2F and %40");
    }
    address_.user = decoded(user.substr(0, colon));
    if (colon != std::string_view::npos) address_.password = decoded(user.substr(colon + 1));
  }

  void read_socket() {
    Endpoint endpoint;
    endpoint.path = decoded(rest_);
    if (endpoint.path.empty() || endpoint.path.front() != '/') {
      wrong("name the socket by its whole path: " + std::string(scheme_->name) +
            ":///run/redis/redis.sock");
    }
    if (endpoint.path.size() >= 108) wrong("the path of the socket is too long (107 bytes)");
    address_.endpoints.push_back(std::move(endpoint));
  }

  void read_hosts() {
    const size_t slash = rest_.find('/');
    std::string_view hosts = rest_.substr(0, slash);
    std::string_view path =
        slash == std::string_view::npos ? std::string_view() : rest_.substr(slash + 1);
    const bool many = address_.topology != Address::Topology::single;
    const bool sentinel = address_.topology == Address::Topology::sentinel;
    while (true) {
      const size_t comma = many ? hosts.find(',') : std::string_view::npos;
      const auto endpoint =
          parse_endpoint(hosts.substr(0, comma), sentinel ? kSentinelPort : kPort);
      if (!endpoint)
        wrong(
            "HOST or HOST:PORT is needed, with a PORT from 1 to 65535 and [] around an IPv6 "
            "address");
      address_.endpoints.push_back(*endpoint);
      if (comma == std::string_view::npos) break;
      hosts = hosts.substr(comma + 1);
    }
    if (sentinel) {
      const size_t end = path.find('/');
      address_.master = decoded(path.substr(0, end));
      if (address_.master.empty()) wrong("the name of the master is missing: .../MASTER[/DB]");
      path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
    }
    if (!path.empty()) read_database(path);
  }

  void read_database(std::string_view text) {
    const auto number = util::parse_integer(text, 0, 1'000'000);
    if (!number) wrong("the database must be a number, not " + util::quoted(text));
    if (address_.topology == Address::Topology::cluster && *number != 0) {
      wrong("a Redis Cluster has database 0 only");
    }
    address_.database = *number;
  }

  util::Duration duration(std::string_view name, std::string_view value, util::Duration least,
                          util::Duration most) const {
    const auto duration = util::parse_duration(value);
    if (!duration) {
      wrong(std::string(name) + "= must be " + std::string(util::kDurationForms));
    }
    if (*duration < least || *duration > most) {
      wrong(std::string(name) + "= must be from " + util::span_text(least) + " to " +
            util::span_text(most));
    }
    return *duration;
  }

  void read_option(std::string_view option) {
    using namespace std::chrono_literals;
    if (option.empty()) return;
    const size_t equals = option.find('=');
    const std::string_view name = option.substr(0, equals);
    const std::string value =
        equals == std::string_view::npos ? std::string() : decoded(option.substr(equals + 1));
    if (name == "lease") {
      address_.lease = duration(name, value, 1s, 24h);
      address_.lease_given = true;
    } else if (name == "connect-timeout") {
      address_.connect_timeout = duration(name, value, 1ms, 1h);
    } else if (scheme_->polled && name == "poll") {
      address_.poll = duration(name, value, 1ms, 1h);
    } else if (!scheme_->polled && name == "wait-replicas") {
      const auto count = util::parse_integer(value, 0, 1000);
      if (!count) wrong("wait-replicas= must be a whole number from 0 to 1000");
      address_.wait_replicas = *count;
    } else if (name == "db" && scheme_->unix_socket) {
      read_database(value);
    } else if (scheme_->tls && name == "cacert") {
      address_.ca_file = value;
    } else if (scheme_->tls && name == "cert") {
      address_.certificate_file = value;
    } else if (scheme_->tls && name == "key") {
      address_.key_file = value;
    } else {
      wrong("it has no option " + util::quoted(name));
    }
  }

  std::string_view rest_;
  const Scheme* scheme_ = nullptr;
  Address address_;
};

}  // namespace

std::string Endpoint::text() const {
  if (!path.empty()) return path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Endpoint> parse_endpoint(std::string_view text, uint16_t default_port) {
  Endpoint endpoint;
  endpoint.port = default_port;
  std::string_view port;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    endpoint.host = text.substr(1, close - 1);
    const std::string_view after = text.substr(close + 1);
    if (!after.empty() && after.front() != ':') return std::nullopt;
    has_port = !after.empty();
    if (has_port) port = after.substr(1);
  } else {
    const size_t colon = text.rfind(':');
    has_port = colon != std::string_view::npos;
    endpoint.host = text.substr(0, colon);
    if (has_port) port = text.substr(colon + 1);
  }
  if (endpoint.host.empty() || endpoint.host.find_first_of(", \t\n") != std::string::npos) {
    return std::nullopt;
  }
  if (has_port) {
    const auto number = util::parse_integer(port, 1, 65535);
    if (!number) return std::nullopt;
    endpoint.port = static_cast<uint16_t>(*number);
  }
  return endpoint;
}

Address parse_address(const std::string& url, const std::optional<std::string>& password) {
  Address address = Parser(url).parse();
  if (!address.password && password) address.password = password;
  return address;
}

}  // namespace cachify::store::redis

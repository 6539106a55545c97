#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/time.h"

namespace cachify::store::redis {

struct Endpoint {
  std::string host;  // name or number, IPv6 without brackets
  uint16_t port = 6379;
  std::string path;  // of a unix socket; then host and port mean nothing

  std::string text() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// All that a store URL says.
struct Address {
  enum class Topology { single, sentinel, cluster };
  Topology topology = Topology::single;
  std::vector<Endpoint> endpoints;  // at least one; sentinels or seeds where there may be several
  std::string master;               // the name that the sentinels know
  std::string user;
  std::optional<std::string> password;
  int64_t database = 0;

  bool tls = false;
  std::string ca_file;  // empty: the system's
  std::string certificate_file;
  std::string key_file;

  util::Duration lease = std::chrono::seconds(30);
  bool lease_given = false;
  util::Duration connect_timeout = std::chrono::seconds(5);
  int64_t wait_replicas = 0;
  util::Duration poll = std::chrono::milliseconds(100);  // py-cachify+...: between two looks

  std::string shown;  // the URL for messages: without user, password and options
};

// `password` stands in for one that the URL does not have. Throws UsageError, without secrets.
Address parse_address(const std::string& url, const std::optional<std::string>& password);

// `HOST[:PORT]`, `[V6][:PORT]`, and V6:PORT as servers write it; nullopt when it is none.
std::optional<Endpoint> parse_endpoint(std::string_view text, uint16_t default_port);

}  // namespace cachify::store::redis

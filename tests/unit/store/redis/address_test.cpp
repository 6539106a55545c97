#include "store/redis/address.h"

#include <doctest/doctest.h>

#include <string>

#include "errors.h"

using namespace cachify;
using namespace cachify::store::redis;
using namespace std::chrono_literals;

namespace {

Address parsed(const std::string& url) {
  return parse_address(url, std::nullopt);
}

std::string refusal(const std::string& url) {
  try {
    parsed(url);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("redis: host, port, database and their defaults") {
  Address address = parsed("redis://example.org");
  CHECK(address.endpoints == std::vector<Endpoint>{{"example.org", 6379, {}}});
  CHECK(address.database == 0);
  CHECK(!address.password);
  CHECK(!address.tls);
  CHECK(address.lease == 30s);
  CHECK(address.connect_timeout == 5s);

  address = parsed("redis://10.0.0.1:1234/7?lease=90s&connect-timeout=200ms&wait-replicas=2");
  CHECK(address.endpoints.front().text() == "10.0.0.1:1234");
  CHECK(address.database == 7);
  CHECK(address.lease == 90s);
  CHECK(address.connect_timeout == 200ms);
  CHECK(address.wait_replicas == 2);
  CHECK(address.shown == "redis://10.0.0.1:1234/7");
}

TEST_CASE("IPv6 addresses stand in brackets") {
  CHECK(parsed("redis://[::1]").endpoints.front() == Endpoint{"::1", 6379, {}});
  CHECK(parsed("redis://[fe80::1]:99/1").endpoints.front().text() == "[fe80::1]:99");
  CHECK(refusal("redis://[::1").find("HOST") != std::string::npos);
  CHECK(refusal("redis://[::1]x").find("HOST") != std::string::npos);
}

TEST_CASE("user and password are decoded, and never shown") {
  const Address address = parsed("redis://a%40b:p%3Aw%2F%25@host:1");
  CHECK(address.user == "a@b");
  CHECK(address.password == "p:w/%");
  CHECK(address.shown == "redis://host:1");
  CHECK(parsed("redis://:only@host").password == "only");
  CHECK(parsed("redis://:only@host").user.empty());
  CHECK(!parsed("redis://user@host").password);
  CHECK(parse_address("redis://host", "other").password == "other");
  CHECK(parse_address("redis://:own@host", "other").password == "own");
}

TEST_CASE("a URL that is refused does not give its password away") {
  for (const std::string url :
       {"redis://u:geheim@host:0", "redis://u:geheim@host/x", "redis://u:geheim@",
        "rdis://u:geheim@h", "redis://u:geheim%zz@host", "redis://u:ge@geheim@host",
        "redis://u:ge/geheim@host", "redis://u:geheim@host?lease=x",
        "redis://u:geheim@host?geheimes=1", "redis+unix://u:geheim@host",
        "redis+sentinel://u:geheim@host"}) {
    const std::string text = refusal(url);
    CHECK(text != "accepted");
    if (url.find("geheimes") == std::string::npos) CHECK(text.find("geheim") == std::string::npos);
  }
}

TEST_CASE("the other schemes") {
  Address address = parsed("redis+unix:///run/redis%20x.sock?db=3");
  CHECK(address.endpoints.front().path == "/run/redis x.sock");
  CHECK(address.database == 3);

  address = parsed("redis+sentinel://a,b:1,[::2]:3/main/4");
  CHECK(address.topology == Address::Topology::sentinel);
  CHECK(address.endpoints == std::vector<Endpoint>{{"a", 26379, {}}, {"b", 1, {}}, {"::2", 3, {}}});
  CHECK(address.master == "main");
  CHECK(address.database == 4);

  address = parsed("redis+cluster://a:1,b:2");
  CHECK(address.topology == Address::Topology::cluster);
  CHECK(address.endpoints.size() == 2);

  address = parsed("rediss://h?cacert=/a%20b&cert=c&key=d");
  CHECK(address.tls);
  CHECK(address.ca_file == "/a b");
  CHECK(address.certificate_file == "c");
}

TEST_CASE("what makes no sense is refused") {
  for (const std::string url : {"redis:",
                                "redis:/x",
                                "redis://",
                                "redis://host:99999",
                                "redis://host:1x",
                                "redis://host/-1",
                                "redis://host?lease=0",
                                "redis://host?lease=500ms",
                                "redis://host?lease",
                                "redis://host?x=1",
                                "redis://host?cacert=x",
                                "rediss://host?cert=x",
                                "redis+unix://relative",
                                "redis+unix://",
                                "redis+cluster://a/1",
                                "redis+sentinel://a",
                                "redis+sentinel://a/",
                                "redis://a,b",
                                "redis://host?db=1",
                                "redis://host/1/2",
                                "redis://%00@host"}) {
    CAPTURE(url);
    CHECK(refusal(url) != "accepted");
  }
}

TEST_CASE("endpoints as servers write them") {
  CHECK(parse_endpoint("127.0.0.1:6381", 1) == Endpoint{"127.0.0.1", 6381, {}});
  CHECK(parse_endpoint("::1:6381", 1) == Endpoint{"::1", 6381, {}});
  CHECK(parse_endpoint("host", 1) == Endpoint{"host", 1, {}});
  CHECK(!parse_endpoint("", 1));
  CHECK(!parse_endpoint(":1", 1));
  CHECK(!parse_endpoint("host:", 1));
}

TEST_CASE("the layout of py-cachify has a scheme for each way to one server, and its own options") {
  Address address = parsed("py-cachify+redis://:secret@host:7/3");
  CHECK(address.endpoints.front().text() == "host:7");
  CHECK(address.database == 3);
  CHECK(address.shown == "py-cachify+redis://host:7/3");
  CHECK(address.poll == 100ms);
  CHECK(!address.lease_given);

  address = parsed("py-cachify+redis://host?lease=45s&poll=250ms");
  CHECK(address.lease_given);
  CHECK(address.lease == 45s);
  CHECK(address.poll == 250ms);

  CHECK(parsed("py-cachify+rediss://host").tls);
  CHECK(parsed("py-cachify+redis+unix:///a.sock").endpoints.front().path == "/a.sock");
  CHECK(parsed("py-cachify+redis+sentinel://a,b/m").topology == Address::Topology::sentinel);
  CHECK(refusal("py-cachify+redis+cluster://a").find("must begin") != std::string::npos);
  CHECK(refusal("py-cachify+redis://host?wait-replicas=1").find("no option") != std::string::npos);
  CHECK(refusal("py-cachify+redis://host?poll=0").find("poll= must be from 1ms to 1h") !=
        std::string::npos);
  CHECK(refusal("redis://host?poll=1").find("no option") != std::string::npos);
}

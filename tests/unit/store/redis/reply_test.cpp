#include "store/redis/reply.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "store/redis/failure.h"
#include "store/redis/server_error.h"

using namespace cachify::store::redis;
using namespace std::string_literals;

namespace {

// One byte after the other: no place to stop is special.
std::optional<Reply> read(const std::string& bytes) {
  ReplyReader reader;
  std::optional<Reply> reply;
  for (const char byte : bytes) {
    reader.feed(&byte, 1);
    if (auto next = reader.next()) reply = std::move(next);
  }
  return reply;
}

bool senseless(const std::string& bytes) {
  try {
    ReplyReader reader;
    reader.feed(bytes.data(), bytes.size());
    while (reader.next()) {
    }
  } catch (const Failure& failure) {
    return failure.kind == Failure::Kind::senseless;
  }
  return false;
}

}  // namespace

TEST_CASE("replies of every type") {
  CHECK(read("+OK\r\n")->string() == "OK");
  CHECK(read(":-12\r\n")->number() == -12);
  CHECK(read("$3\r\na\0b\r\n"s)->string() == "a\0b"s);
  CHECK(read("$-1\r\n")->type == Reply::Type::nil);
  CHECK(read("*-1\r\n")->type == Reply::Type::nil);
  CHECK(read("*0\r\n")->elements.empty());
  CHECK(read("-ERR no\r\n")->is_error());
  const auto nested = read("*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$0\r\n\r\n+y\r\n");
  CHECK(nested->at(0).number() == 1);
  CHECK(nested->at(1).at(0).string() == "x");
  CHECK(nested->at(1).at(1).string().empty());
  CHECK(nested->at(2).string() == "y");
  CHECK(!read("*2\r\n:1\r\n"));
  CHECK(!read("$5\r\nab"));
}

TEST_CASE("a part that is not there is no crash") {
  const auto reply = read("*1\r\n:1\r\n");
  CHECK_THROWS_AS(reply->at(1), Failure);
  CHECK_THROWS_AS(reply->at(0).string(), Failure);
  CHECK_THROWS_AS(reply->at(0).at(0), Failure);
  CHECK_THROWS_AS(reply->number(), Failure);
}

TEST_CASE("what is too big or makes no sense is refused before it costs memory") {
  CHECK(senseless("*2147483647\r\n"));
  CHECK(senseless("*500001\r\n"));
  CHECK(senseless("*400000\r\n*400000\r\n"));
  CHECK(senseless("hello\r\n"));
  CHECK(senseless("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"));
  CHECK(senseless("$2147483647\r\n" + std::string(9UL << 20U, 'x')));
  const size_t most = ReplyReader::kLongestText;
  CHECK(senseless("$" + std::to_string(most + 1) + "\r\n" + std::string(most + 1, 'x') + "\r\n"));
  CHECK(!senseless("$" + std::to_string(most) + "\r\n" + std::string(most, 'x') + "\r\n"));
  CHECK(senseless("+" + std::string(2UL << 20U, 'x')));
}

TEST_CASE("a text of the greatest length is understood however it comes in") {
  const std::string text(ReplyReader::kLongestText, 'x');
  const std::string whole = "*3\r\n$2000\r\n" + std::string(2000, 'y') + "\r\n:7\r\n$" +
                            std::to_string(text.size()) + "\r\n" + text + "\r\n";
  for (const size_t part : {size_t{4096}, size_t{65536}, size_t{100'003}, size_t{3UL << 20U}}) {
    ReplyReader reader;
    std::optional<Reply> reply;
    for (size_t at = 0; at < whole.size(); at += part) {
      reader.feed(whole.data() + at, std::min(part, whole.size() - at));
      if (auto next = reader.next()) reply = std::move(next);
    }
    REQUIRE(reply);
    CHECK(reply->at(2).string() == text);
  }
}

TEST_CASE("a line or a text without end is refused before all of it is there") {
  for (const std::string start : {"+", "-", ":", "*1\r\n$", "$99999999\r\n"}) {
    const size_t most =
        start.back() == '\n' ? ReplyReader::kLongestText : ReplyReader::kLongestLine;
    ReplyReader reader;
    reader.feed(start.data(), start.size());
    const std::string part(65536, '1');
    size_t sent = 0;
    const auto send = [&] {
      for (; sent < most + 2 * part.size(); sent += part.size()) {
        reader.feed(part.data(), part.size());
        reader.next();
      }
    };
    CHECK_THROWS_AS(send(), Failure);
    CHECK(sent + part.size() >= most);
  }
}

TEST_CASE("the limits are those of one reply, not of a connection") {
  ReplyReader reader;
  const std::string array = "*1000\r\n" + [] {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "$64\r\n" + std::string(64, 'x') + "\r\n";
    return text;
  }();
  for (int i = 0; i < 1000; ++i) {
    reader.feed(array.data(), array.size());
    const auto reply = reader.next();
    REQUIRE(reply);
    REQUIRE(reply->elements.size() == 1000);
  }
}

TEST_CASE("commands keep every byte") {
  std::string text;
  append(text, {"SET", std::string("a\0b", 3), "", "x y\r\n"});
  CHECK(text == "*4\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n$5\r\nx y\r\n\r\n"s);
}

TEST_CASE("errors and what they mean") {
  using Kind = Failure::Kind;
  CHECK(kind_of("LOADING Redis is loading the dataset in memory") == Kind::busy);
  CHECK(kind_of("OOM command not allowed when used memory > 'maxmemory'.") == Kind::refused);
  CHECK(kind_of("READONLY You can't write against a read only replica.") == Kind::elsewhere);
  CHECK(kind_of("UNBLOCKED force unblock from blocking operation") == Kind::elsewhere);
  CHECK(kind_of("NOPERM this user has no permissions to run the 'blpop' command") == Kind::denied);
  CHECK(kind_of("WRONGPASS invalid username-password pair") == Kind::denied);
  CHECK(kind_of("ERR Error running script (call to f_1): @user_script:12: -OOM command not "
                "allowed") == Kind::refused);
  CHECK(kind_of("ERR wrong number of arguments") == Kind::senseless);
  CHECK(kind_of("") == Kind::senseless);
}

TEST_CASE("redirections of a cluster") {
  const Endpoint from{"10.0.0.1", 7000, {}};
  const auto of = [&](const std::string& text) {
    Reply reply;
    reply.type = Reply::Type::error;
    reply.text = text;
    return redirection(reply, from);
  };
  CHECK(of("MOVED 3999 127.0.0.1:6381")->endpoint == Endpoint{"127.0.0.1", 6381, {}});
  CHECK(!of("MOVED 3999 127.0.0.1:6381")->ask);
  CHECK(of("ASK 3999 ::1:6381")->endpoint == Endpoint{"::1", 6381, {}});
  CHECK(of("ASK 3999 ::1:6381")->ask);
  CHECK(of("MOVED 3999 :6381")->endpoint == Endpoint{"10.0.0.1", 6381, {}});
  CHECK(!of("MOVED"));
  CHECK(!of("MOVED 1 host:port"));
  CHECK(!of("ERR MOVED 1 a:1"));
}

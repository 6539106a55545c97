#include "store/redis/server_error.h"

#include <array>
#include <string>

namespace cachify::store::redis {

namespace {

struct Code {
  std::string_view code;
  Failure::Kind kind;
};

constexpr std::array<Code, 19> kCodes = {{
    {"LOADING", Failure::Kind::busy},
    {"BUSY", Failure::Kind::busy},
    {"TRYAGAIN", Failure::Kind::busy},
    {"CLUSTERDOWN", Failure::Kind::busy},
    {"OOM", Failure::Kind::refused},
    {"NOREPLICAS", Failure::Kind::refused},
    {"MISCONF", Failure::Kind::refused},
    {"READONLY", Failure::Kind::elsewhere},
    {"MASTERDOWN", Failure::Kind::elsewhere},
    {"UNBLOCKED", Failure::Kind::elsewhere},
    {"MOVED", Failure::Kind::elsewhere},
    {"ASK", Failure::Kind::elsewhere},
    {"NOAUTH", Failure::Kind::denied},
    {"WRONGPASS", Failure::Kind::denied},
    {"NOPERM", Failure::Kind::denied},
    {"DENIED", Failure::Kind::denied},
    // As scripts of Redis 6 and 7 say it.
    {"ERR ACL failure in script", Failure::Kind::denied},
    {"ERR The user executing the script", Failure::Kind::denied},
    {"ERR max number of clients reached", Failure::Kind::refused},
}};

// Redis 6 wraps what a command inside a script answered:
// "ERR Error running script (call to f_...): @user_script:12: -OOM command not allowed ..."
std::string_view unwrapped(std::string_view error) noexcept {
  if (!error.starts_with("ERR Error running script")) return error;
  const size_t inner = error.rfind(": ");
  if (inner == std::string_view::npos) return error;
  std::string_view text = error.substr(inner + 2);
  if (text.starts_with('-')) text.remove_prefix(1);
  return text;
}

bool begins_with_word(std::string_view text, std::string_view word) noexcept {
  return text.starts_with(word) && (text.size() == word.size() || text[word.size()] == ' ' ||
                                    text[word.size()] == ':' || text[word.size()] == ',');
}

}  // namespace

Failure::Kind kind_of(std::string_view error) noexcept {
  const std::string_view inner = unwrapped(error);
  for (const Code& row : kCodes) {
    if (begins_with_word(error, row.code) || begins_with_word(inner, row.code)) return row.kind;
  }
  if (error.find("can't run this command") != std::string_view::npos ||
      error.find("NOPERM") != std::string_view::npos || error.find("ERR AUTH") == 0 ||
      error.find("invalid password") != std::string_view::npos) {
    return Failure::Kind::denied;
  }
  return Failure::Kind::senseless;
}

bool is_noscript(const Reply& reply) noexcept {
  return reply.is_error() && begins_with_word(reply.text, "NOSCRIPT");
}

bool is_wrong_type(const Reply& reply) noexcept {
  return reply.is_error() && begins_with_word(unwrapped(reply.text), "WRONGTYPE");
}

void throw_damaged(const std::string& base) {
  throw Failure(Failure::Kind::senseless,
                "DAMAGED state in " + base + "*: delete these keys when nobody holds it or waits");
}

std::optional<Redirection> redirection(const Reply& reply, const Endpoint& from) {
  if (!reply.is_error()) return std::nullopt;
  Redirection result;
  result.ask = begins_with_word(reply.text, "ASK");
  if (!result.ask && !begins_with_word(reply.text, "MOVED")) return std::nullopt;
  const size_t space = reply.text.rfind(' ');
  if (space == std::string::npos || space == reply.text.find(' ')) return std::nullopt;
  std::string where = reply.text.substr(space + 1);
  if (where.rfind(':') == 0) where = "[" + from.host + "]" + where;
  const auto endpoint = parse_endpoint(where, from.port);
  if (!endpoint) return std::nullopt;
  result.endpoint = *endpoint;
  return result;
}

void throw_failure(const Reply& error, const Endpoint& from) {
  // What a long command is answered without a password.
  if (error.text.find("Protocol error: unauthenticated") != std::string::npos) {
    throw Failure(Failure::Kind::denied, from.text() + ": NOAUTH Authentication required.");
  }
  // Redis 7 says in which line of which script.
  throw Failure(kind_of(error.text),
                from.text() + ": " + error.text.substr(0, error.text.find(" script: ")));
}

}  // namespace cachify::store::redis

#include "store/redis/scripts.h"

namespace cachify::store::redis {

namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '{':
        result += "%7B";
        break;
      case '}':
        result += "%7D";
        break;
      case '%':
        result += "%25";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string unescaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view escape = text.substr(i, 3);
    const bool known = escape == "%7B" || escape == "%7D" || escape == "%25";
    if (known) i += 2;
    result += !known ? text[i] : escape == "%7B" ? '{' : escape == "%7D" ? '}' : '%';
  }
  return result;
}

std::string before_key(const std::string& prefix, Kind kind) {
  return escaped(prefix) + kind_text(kind) + ":{";
}

constexpr std::string_view kBehindKey = "}:";
constexpr std::string_view kBooks = "}:m";

}  // namespace

std::string pattern_of_books(const std::string& prefix, Kind kind) {
  std::string pattern;
  for (const char c : before_key(prefix, kind)) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "*" + std::string(kBooks);
}

std::optional<std::string> key_of_books(const std::string& name, const std::string& prefix,
                                        Kind kind) {
  const std::string before = before_key(prefix, kind);
  if (name.size() <= before.size() + kBooks.size()) return std::nullopt;
  if (!name.starts_with(before) || !name.ends_with(kBooks)) return std::nullopt;
  const std::string_view key =
      std::string_view(name).substr(before.size(), name.size() - before.size() - kBooks.size());
  // A key has none of these; somebody else's name may.
  if (key.find_first_of("{}") != std::string_view::npos) return std::nullopt;
  return unescaped(key);
}

Keys::Keys(const std::string& prefix, Kind kind, const std::string& key)
    : base(before_key(prefix, kind) + escaped(key) + std::string(kBehindKey)) {
  constexpr std::string_view kParts = "hqapimb";
  for (size_t i = 0; i < names.size(); ++i) names[i] = base + kParts[i];
}

}  // namespace cachify::store::redis

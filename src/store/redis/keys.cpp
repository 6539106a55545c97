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

}  // namespace

Keys::Keys(const std::string& prefix, Kind kind, const std::string& key)
    : base(escaped(prefix) + kind_text(kind) + ":{" + escaped(key) + "}:") {
  constexpr std::string_view kParts = "hqapimb";
  for (size_t i = 0; i < names.size(); ++i) names[i] = base + kParts[i];
}

}  // namespace cachify::store::redis

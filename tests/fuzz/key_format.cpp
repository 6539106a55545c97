// Whatever the format and what fills it, the key is within its bounds or it is wrong use. The
// lines: the format, NAME=VALUE..., an empty one, COMMAND and its arguments.
#include "cli/key.h"
#include "errors.h"
#include "fuzz.h"
#include "store/redis/scripts.h"

using namespace cachify;
using fuzz::require;

namespace {

std::string as_format(const std::string& key) {
  std::string format;
  for (const char c : key) {
    format += c;
    if (c == '{' || c == '}') format += c;
  }
  return format;
}

void check(const std::string& key) {
  require(!key.empty() && key.size() <= cli::kLongestKey, "a key is within its bounds");
  require(cli::resolve_key(as_format(key), {}, {}) == key, "braces can be written");
  for (const store::Kind kind : {store::Kind::pool, store::Kind::lock}) {
    for (const std::string prefix : {"cachify:", "a{b}", "%7B"}) {
      const store::redis::Keys keys(prefix, kind, key);
      std::string books;
      for (const std::string& name : keys.names) {
        require(name.rfind(keys.base, 0) == 0, "all names of a key begin alike");
        if (name.ends_with(":m")) books = name;
      }
      require(store::redis::key_of_books(books, prefix, kind) == key, "the name tells the key");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::bytes(data, size);
  if (text.find('\0') != std::string_view::npos) return 0;
  const std::vector<std::string> all = fuzz::lines(text);
  cli::NamedValues named;
  size_t i = 1;
  for (; i < all.size() && !all[i].empty(); ++i) {
    const size_t sign = all[i].find('=');
    if (sign == std::string::npos || !cli::is_field_name(all[i].substr(0, sign))) return 0;
    named.emplace_back(all[i].substr(0, sign), all[i].substr(sign + 1));
  }
  const std::vector<std::string> command(
      all.begin() + static_cast<std::ptrdiff_t>(std::min(i + 1, all.size())), all.end());
  try {
    check(cli::resolve_key(all[0], named, command));
  } catch (const UsageError&) {
  }
  return 0;
}

#include "util/secret.h"

#include <algorithm>

namespace cachify::util {

namespace {

struct Range {
  size_t from = std::string_view::npos;  // npos: there is none
  size_t to = 0;
};

bool is_scheme(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '-' || c == '.';
}

// The first one at or behind `start`.
Range next_password(std::string_view text, size_t start) noexcept {
  constexpr std::string_view kMark = "://";
  for (;;) {
    const size_t mark = text.find(kMark, start);
    if (mark == std::string_view::npos) return {};
    size_t scheme = mark;
    while (scheme > 0 && is_scheme(text[scheme - 1])) --scheme;
    const bool ours = text.substr(scheme, mark - scheme).find("redis") != std::string_view::npos;
    const size_t user = mark + kMark.size();
    start = user;
    // In our own URLs somebody may have forgotten to escape / or @, or the colon.
    const size_t end =
        std::min(text.find_first_of(ours ? " \t\n\"'" : " \t\n\"'/?#", user), text.size());
    const size_t at = text.substr(0, end).rfind('@');
    if (at == std::string_view::npos || at <= user) continue;
    const size_t colon = text.substr(0, at).find(':', user);
    const size_t from = colon != std::string_view::npos ? colon + 1 : ours ? user : at;
    if (from < at) return {from, at};
  }
}

}  // namespace

std::string without_passwords(std::string_view text) {
  std::string result;
  size_t done = 0;
  for (;;) {
    const Range found = next_password(text, done);
    if (found.from == std::string_view::npos) break;
    result += text.substr(done, found.from - done);
    result += "***";
    done = found.to;
  }
  return result += text.substr(done);
}

bool has_password(std::string_view text) noexcept {
  return next_password(text, 0).from != std::string_view::npos;
}

void blot_out_passwords(std::span<char> text) noexcept {
  const std::string_view view(text.data(), text.size());
  for (Range found = next_password(view, 0); found.from != std::string_view::npos;
       found = next_password(view, found.to)) {
    std::fill(text.begin() + static_cast<std::ptrdiff_t>(found.from),
              text.begin() + static_cast<std::ptrdiff_t>(found.to), '*');
  }
}

}  // namespace cachify::util

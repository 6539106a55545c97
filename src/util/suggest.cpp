#include "util/suggest.h"

#include "util/text.h"

namespace cachify::util {

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names) {
  constexpr size_t kLongestName = 40;
  if (word.size() < 2 || word.size() > kLongestName) return {};
  std::string_view best;
  size_t least = word.size() / 3 + 1;
  for (const std::string_view name : names) {
    // What was cut short is nearer than any misspelling.
    const size_t distance = name.starts_with(word) ? 0 : edit_distance(word, name);
    if (distance > least || (distance == least && !best.empty())) continue;
    best = name;
    least = distance;
  }
  return best;
}

}  // namespace cachify::util

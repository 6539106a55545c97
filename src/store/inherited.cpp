#include "store/inherited.h"

#include <cstdlib>
#include <string_view>

namespace cachify::store {

bool is_inherited(const std::string& id) {
  const char* variable = std::getenv("CACHIFY_ID");
  std::string_view rest = variable != nullptr ? variable : "";
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    if (rest.substr(0, end) == id) return true;
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return false;
}

}  // namespace cachify::store

#pragma once

#include <string_view>
#include <vector>

namespace cachify::util {

// The name that was probably meant by `word`; empty when none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace cachify::util

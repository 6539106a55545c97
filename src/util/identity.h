#pragma once

#include <cstdint>
#include <string>

namespace cachify::util {

// uname's node name; empty where it cannot be had.
const std::string& host_name();

// The name of a local user; empty where the password file has none. Each user is looked up once.
const std::string& user_name(uint32_t uid);

}  // namespace cachify::util

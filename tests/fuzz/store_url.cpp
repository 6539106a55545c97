// Whatever the URL, it is understood or wrong use; what is shown of it has no password and is
// understood again.
#include "errors.h"
#include "fuzz.h"
#include "store/redis/address.h"
#include "store/registry.h"
#include "util/secret.h"

using namespace cachify;
using store::redis::Address;

namespace {

bool is_clean(const std::string& text) {
  return util::without_passwords(text) == text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string url(fuzz::bytes(data, size));
  if (url.find('\0') != std::string::npos) return 0;
  try {
    const Address address = store::redis::parse_address(url, std::nullopt);
    fuzz::require(!address.endpoints.empty(), "there is an endpoint");
    fuzz::require(is_clean(address.shown), "no password is shown");
    fuzz::require(address.lease.count() > 0, "a lease lasts");
    // Each part of the text that is a secret must be known as one, wherever the text is shown.
    if (address.password && !address.password->empty()) {
      fuzz::require(util::has_password(url, util::Among::one_word), "a password is known as one");
    }
    const Address again = store::redis::parse_address(address.shown, "other");
    fuzz::require(again.endpoints == address.endpoints &&
                      (again.database == address.database || !address.endpoints[0].path.empty()) &&
                      again.topology == address.topology && again.master == address.master,
                  "what is shown is the same place");
    fuzz::require(again.shown == address.shown, "what is shown is shown so again");
  } catch (const UsageError& failure) {
    fuzz::require(is_clean(failure.what()), "no message shows a password");
  }
  for (const std::string& scheme : {"", "file", "redis", "py-cachify+redis"}) {
    const std::string_view prefix =
        store::default_prefix(scheme.empty() ? url : scheme + ":" + url);
    fuzz::require(!prefix.empty(), "there is a prefix");
  }
  try {
    store::redis::parse_endpoint(url, 1);
    if (url.rfind("file:", 0) != 0) store::open({.url = url, .prefix = "p"});
  } catch (const Error& failure) {
    fuzz::require(is_clean(failure.what()), "no message shows a password");
  }
  return 0;
}

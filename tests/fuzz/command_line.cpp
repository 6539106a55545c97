// Whatever the words, cachify says wrong use or gets as far as opening the store; one word to a
// line of the input. What would be opened, started or kept is replaced below: all of
// store/registry.h, since the linker takes or leaves the whole of its object file.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "cli/invocation.h"
#include "errors.h"
#include "fuzz.h"
#include "run/keeper.h"
#include "store/registry.h"

namespace cachify {

namespace {

struct Reached : StoreError {
  Reached() : StoreError("as far as it goes") {}
};

}  // namespace

namespace store {

std::unique_ptr<Store> open(const OpenOptions& options) {
  fuzz::require(options.url.find('\0') == std::string::npos, "a URL has no NUL");
  throw Reached();
}

std::string_view default_prefix(std::string_view) noexcept {
  return "cachify:";
}

std::string known_schemes() {
  return "file:";
}

}  // namespace store

namespace run {

Ending acquire(const std::function<std::unique_ptr<store::Store>()>& open_store,
               const Request& request, const Owner&) {
  fuzz::require(request.command.empty(), "acquire has no command");
  open_store();
  return {};
}

}  // namespace run

}  // namespace cachify

using namespace cachify;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  ::setenv("CACHIFY_CONFIG", "/dev/null", 1);
  // Help is printed; libFuzzer writes to standard error.
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  return ::dup2(null, STDOUT_FILENO) < 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::bytes(data, size);
  if (text.empty() || text.find('\0') != std::string_view::npos) return 0;
  std::vector<std::string> words = fuzz::lines(text);
  std::vector<char*> argv;
  argv.reserve(words.size());
  for (std::string& word : words) argv.push_back(word.data());
  try {
    const run::Ending ending = cli::invoke(argv);
    fuzz::require(ending.code >= 0 && ending.code <= 255, "a code is one");
    fuzz::require(!ending.signal, "nobody sent a signal");
  } catch (const Error& failure) {
    const int code = failure.code();
    fuzz::require(code == kExitUsage || code == kExitConfig || code == kExitUnavailable,
                  "a call is understood, or wrong use");
    fuzz::require(*failure.what() != '\0', "a message says something");
  }
  return 0;
}

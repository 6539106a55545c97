#include <signal.h>
#include <sys/resource.h>

#include <exception>
#include <new>
#include <span>
#include <string>

#include "cli/invocation.h"
#include "errors.h"
#include "util/log.h"
#include "util/output.h"

namespace {

using cachify::run::Ending;

// The only catch of errors: one line, and the code that it ends in.
Ending invoke_guarded(std::span<char* const> arguments) noexcept {
  try {
    return cachify::cli::invoke(arguments);
  } catch (const cachify::Error& failure) {
    cachify::util::error(failure.what());
    return {failure.code(), std::nullopt};
  } catch (const std::bad_alloc&) {
    cachify::util::error("out of memory");
  } catch (const std::exception& failure) {
    cachify::util::error(failure.what());
  }
  return {cachify::kExitInternal, std::nullopt};
}

// So that who waits for cachify sees the signal itself. Leaves no core: nothing crashed here.
void die_of(int signal_number) noexcept {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(signal_number, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal_number);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  raise(signal_number);
}

}  // namespace

int main(int argc, char** argv) {
  cachify::util::occupy_closed_standard_descriptors();
  const std::span<char* const> words(argv, static_cast<size_t>(argc));
  const Ending ending = invoke_guarded(words.empty() ? words : words.subspan(1));
  if (ending.signal) die_of(*ending.signal);
  return ending.code;
}

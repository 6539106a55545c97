#include "util/log.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "util/text.h"

namespace cachify::util {

namespace {

Verbosity current = Verbosity::normal;

// One line. Of fixed size, so that a message needs no memory and one write(2) is never split by
// others that write to the same pipe.
class Line {
 public:
  void add(std::string_view text) noexcept {
    while (!text.empty()) {
      const size_t length = utf8_length(text);
      const std::string_view piece = text.substr(0, length == 0 ? 1 : length);
      if (is_control(piece)) {
        for (const char c : piece) append(Escaped(c).text());
      } else {
        append(piece);
      }
      text.remove_prefix(piece.size());
    }
  }

  std::string_view finish() noexcept {
    const std::string_view end = cut_ ? std::string_view("...\n") : std::string_view("\n");
    std::memcpy(bytes_ + size_, end.data(), end.size());
    return {bytes_, size_ + end.size()};
  }

 private:
  void append(std::string_view piece) noexcept {
    constexpr size_t kRoomForEnd = 4;
    if (cut_ || size_ + piece.size() > sizeof bytes_ - kRoomForEnd) {
      cut_ = true;
      return;
    }
    std::memcpy(bytes_ + size_, piece.data(), piece.size());
    size_ += piece.size();
  }

  char bytes_[4096];
  size_t size_ = 0;
  bool cut_ = false;
};

// A reader of standard error that went away must not end a cachify that guards a running command.
void write_without_sigpipe(std::string_view line) noexcept {
  sigset_t pipe_signal, saved, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  sigprocmask(SIG_BLOCK, &pipe_signal, &saved);
  ssize_t written = 0;
  do {
    written = ::write(STDERR_FILENO, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0 && errno == EPIPE && !was_pending) {
    const timespec at_once{};
    while (sigtimedwait(&pipe_signal, nullptr, &at_once) < 0 && errno == EINTR) continue;
  }
  sigprocmask(SIG_SETMASK, &saved, nullptr);
}

void print(std::string_view text) noexcept {
  const int saved_errno = errno;
  Line line;
  line.add("cachify: ");
  line.add(text);
  write_without_sigpipe(line.finish());
  errno = saved_errno;
}

}  // namespace

void set_verbosity(Verbosity verbosity) noexcept {
  current = verbosity;
}
Verbosity verbosity() noexcept {
  return current;
}

void error(std::string_view text) noexcept {
  print(text);
}

void message(std::string_view text) noexcept {
  if (current != Verbosity::quiet) print(text);
}

void explain(std::string_view text) noexcept {
  if (current == Verbosity::verbose) print(text);
}

}  // namespace cachify::util

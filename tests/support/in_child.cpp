#include "support/in_child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>

#include "util/unique_fd.h"

namespace cachify::test {

int ChildResult::code() const {
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
int ChildResult::signal() const {
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

ChildResult in_child(const std::function<int()>& body) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw std::runtime_error("pipe");
  util::UniqueFd reading(ends[0]);
  util::UniqueFd writing(ends[1]);

  std::fflush(nullptr);  // or the child would print it once more
  std::cout.flush();
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) {
    dup2(writing.get(), STDOUT_FILENO);
    dup2(writing.get(), STDERR_FILENO);
    reading.reset();
    writing.reset();
    // As after an exec: doctest's handlers are not ours.
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
      struct sigaction action {};
      if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) {
        ::signal(signal, SIG_DFL);
      }
    }
    int code = 99;
    try {
      code = body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::fflush(nullptr);
    _exit(code);
  }
  writing.reset();

  ChildResult result;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t size = read(reading.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    result.output.append(buffer.data(), static_cast<size_t>(size));
  }
  while (waitpid(pid, &result.status, 0) < 0 && errno == EINTR) continue;
  return result;
}

}  // namespace cachify::test

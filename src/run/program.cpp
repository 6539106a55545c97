#include "run/program.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "exit_codes.h"

namespace cachify::run {
namespace {

constexpr const char* kShell = "/bin/sh";

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, std::min(variable.find('='), variable.size()));
}

bool has_slash(const std::string& command) {
  return command.find('/') != std::string::npos;
}

// The paths that execvp would try. An empty element of PATH is the working directory.
std::vector<std::string> paths_in_path(const std::string& command) {
  if (command.empty()) return {command};
  const char* given = std::getenv("PATH");
  std::string_view rest = given != nullptr ? given : "/bin:/usr/bin";
  std::vector<std::string> paths;
  for (;;) {
    const size_t colon = rest.find(':');
    std::string path(rest.substr(0, colon));
    if (!path.empty()) path += '/';
    paths.push_back(path + command);
    if (colon == std::string_view::npos) return paths;
    rest.remove_prefix(colon + 1);
  }
}

}  // namespace

Program::Program(const std::vector<std::string>& argv, std::vector<std::string> variables)
    : variables_(std::move(variables)), looked_up_(!has_slash(argv.front())) {
  paths_ = looked_up_ ? paths_in_path(argv.front()) : std::vector{argv.front()};

  // exec takes char* for historical reasons and changes nothing.
  for (const std::string& arg : argv) argv_.push_back(const_cast<char*>(arg.c_str()));
  argv_.push_back(nullptr);

  shell_argv_ = {const_cast<char*>(kShell), nullptr};
  shell_argv_.insert(shell_argv_.end(), argv_.begin() + 1, argv_.end());

  const auto replaced = [this](std::string_view name) {
    return std::any_of(variables_.begin(), variables_.end(),
                       [name](const std::string& mine) { return name_of(mine) == name; });
  };
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.starts_with("CACHIFY_") && replaced(name_of(text))) continue;
    environment_.push_back(*entry);
  }
  for (std::string& variable : variables_) {
    if (variable.find('=') != std::string::npos) environment_.push_back(variable.data());
  }
  environment_.push_back(nullptr);
}

int Program::try_path(const std::string& path) const noexcept {
  execve(path.c_str(), argv_.data(), environment_.data());
  if (errno != ENOEXEC) return errno;
  shell_argv_[1] = const_cast<char*>(path.c_str());
  execve(kShell, shell_argv_.data(), environment_.data());
  return errno;
}

int Program::execute() const noexcept {
  bool denied = false;
  int error = ENOENT;
  for (const std::string& path : paths_) {
    error = try_path(path);
    switch (error) {
      case EACCES:
        denied = true;
        break;
      case ENOENT:
      case ENOTDIR:
      case ESTALE:
      case ENODEV:
      case ETIMEDOUT:
        break;
      default:
        return error;
    }
  }
  if (denied) return EACCES;
  return looked_up_ ? ENOENT : error;  // not found, whatever the last directory lacked
}

int exec_failure_code(int error_number) noexcept {
  return error_number == ENOENT ? kExitNotFound : kExitNotExecutable;
}

std::string exec_failure_text(const std::string& command, int error_number) {
  std::string text = "cannot run '" + command + "': ";
  if (error_number == ENOENT && has_slash(command) && access(command.c_str(), F_OK) == 0) {
    return text + "the interpreter it names does not exist";
  }
  if (error_number == ENOENT && !has_slash(command)) {
    return text + "command not found";
  }
  return text + std::strerror(error_number);
}

}  // namespace cachify::run

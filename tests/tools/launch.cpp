// Starts programs and takes their time, with less overhead than what it measures.
//
//   launch alternate ROUNDS COMMAND [::: COMMAND]...
//       Runs the commands in turns, one at a time, ROUNDS times each; prints a line of wall times
//       in ns for each command.
//   launch burst COUNT COMMAND
//       Starts COUNT at once; prints the ns until all have ended.
//   launch workers WORKERS EACH COMMAND
//       WORKERS processes, each running COMMAND EACH times in a row; prints the ns for all.
//   launch queue COUNT apart|together FIFO COMMAND
//       Starts COUNT commands that cannot go on yet, waits until all of them sleep (apart: each
//       before the next one starts, so that they queue in this order), then opens FIFO, which
//       whoever is in their way reads from; prints the ns from then until all have ended.
//
// In COMMAND, {} stands for the number of the run, and leading NAME=VALUE words go to its
// environment. What it prints goes to /dev/null. Any failing command ends the measurement with 1.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

int64_t ns_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

class Program {
 public:
  explicit Program(std::vector<std::string> words) {
    for (char** variable = environ; *variable != nullptr; ++variable) env_.emplace_back(*variable);
    size_t first = 0;
    while (first < words.size() && words[first].find('=') != std::string::npos &&
           words[first].front() != '/') {
      set(words[first++]);
    }
    words_.assign(words.begin() + static_cast<std::ptrdiff_t>(first), words.end());
    if (words_.empty()) fail("a command is missing");
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  }
  Program(Program&& other) noexcept
      : words_(std::move(other.words_)), env_(std::move(other.env_)), actions_(other.actions_) {
    posix_spawn_file_actions_init(&other.actions_);
  }
  ~Program() { posix_spawn_file_actions_destroy(&actions_); }

  pid_t start(long number) const {
    std::vector<std::string> words = words_;
    for (std::string& word : words) {
      if (const size_t at = word.find("{}"); at != std::string::npos) {
        word.replace(at, 2, std::to_string(number));
      }
    }
    std::vector<char*> argv = pointers(words);
    std::vector<std::string> env = env_;
    std::vector<char*> envp = pointers(env);
    pid_t pid = 0;
    const int error = posix_spawnp(&pid, argv[0], &actions_, nullptr, argv.data(), envp.data());
    if (error != 0) fail(words[0] + ": " + std::strerror(error));
    return pid;
  }

  // Starts it, waits for it, and says how long that took.
  int64_t time(long number) const {
    const Clock::time_point begin = Clock::now();
    wait_for(start(number));
    return ns_since(begin);
  }

  static void wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
      if (errno != EINTR) fail("waitpid");
    }
    if (status != 0) fail("a command failed with status " + std::to_string(status));
  }

 private:
  void set(const std::string& variable) {
    const std::string name = variable.substr(0, variable.find('=') + 1);
    std::erase_if(env_, [&](const std::string& other) { return other.starts_with(name); });
    env_.push_back(variable);
  }

  static std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
  }

  std::vector<std::string> words_;
  std::vector<std::string> env_;
  posix_spawn_file_actions_t actions_{};
};

long number(const std::string& text) {
  size_t end = 0;
  const long value = std::stol(text, &end);
  if (end != text.size() || value < 1) fail("not a count: " + text);
  return value;
}

void alternate(long rounds, const std::vector<Program>& programs) {
  std::vector<std::vector<int64_t>> times(programs.size());
  for (const Program& program : programs) {
    for (int warm = 0; warm < 3; ++warm) program.time(0);
  }
  for (long round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < programs.size(); ++i) {
      // Each second round goes backwards: nobody always runs behind the same neighbour.
      const size_t index = round % 2 == 0 ? i : programs.size() - 1 - i;
      times[index].push_back(programs[index].time(round));
    }
  }
  for (const std::vector<int64_t>& line : times) {
    for (const int64_t ns : line) std::printf("%lld ", static_cast<long long>(ns));
    std::puts("");
  }
}

int64_t burst(long count, const Program& program) {
  const Clock::time_point begin = Clock::now();
  std::vector<pid_t> pids;
  for (long i = 0; i < count; ++i) pids.push_back(program.start(i));
  for (const pid_t pid : pids) Program::wait_for(pid);
  return ns_since(begin);
}

int64_t workers(long count, long each, const Program& program) {
  const Clock::time_point begin = Clock::now();
  std::vector<pid_t> pids;
  for (long worker = 0; worker < count; ++worker) {
    const pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
      try {
        for (long i = 0; i < each; ++i) program.time(worker * each + i);
        _exit(0);
      } catch (const std::exception& problem) {
        std::fprintf(stderr, "launch: %s\n", problem.what());
        _exit(1);
      }
    }
    pids.push_back(pid);
  }
  for (const pid_t pid : pids) Program::wait_for(pid);
  return ns_since(begin);
}

// How often it went to sleep or was put aside so far; -1 while it is not asleep.
long switches_asleep(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  long switches = -1;
  while (std::getline(status, line)) {
    if (line.starts_with("State:")) {
      if (line.find('S', 6) != line.find_first_not_of(" \t", 6)) return -1;
      switches = 0;
    } else if (line.find("ctxt_switches:") != std::string::npos) {
      switches += std::strtol(line.c_str() + line.find(':') + 1, nullptr, 10);
    }
  }
  return switches;
}

// Until all of them sleep and none of them has run between two looks.
void wait_until_asleep(const std::vector<pid_t>& pids, std::chrono::milliseconds between) {
  const Clock::time_point limit = Clock::now() + std::chrono::seconds(120);
  long before = -1;
  while (Clock::now() < limit) {
    long sum = 0;
    for (const pid_t pid : pids) {
      const long one = switches_asleep(pid);
      if (one < 0) {
        sum = -1;
        break;
      }
      sum += one;
    }
    if (sum >= 0 && sum == before) return;
    before = sum;
    std::this_thread::sleep_for(between);
  }
  fail("the commands don't come to rest");
}

int64_t queue(long count, bool apart, const std::string& fifo, const Program& program) {
  std::vector<pid_t> pids;
  for (long i = 0; i < count; ++i) {
    pids.push_back(program.start(i));
    if (apart) wait_until_asleep({pids.back()}, std::chrono::milliseconds(1));
  }
  wait_until_asleep(pids, std::chrono::milliseconds(50));
  const Clock::time_point begin = Clock::now();
  const int end = open(fifo.c_str(), O_WRONLY | O_CLOEXEC);
  if (end < 0) fail(fifo + ": " + std::strerror(errno));
  close(end);
  for (const pid_t pid : pids) Program::wait_for(pid);
  return ns_since(begin);
}

// After a failure nothing that was started may stay behind.
void end_children() {
  const std::string self = std::to_string(getpid());
  std::ifstream children("/proc/self/task/" + self + "/children");
  for (pid_t pid = 0; children >> pid;) kill(pid, SIGKILL);
}

void print(int64_t ns) {
  std::printf("%lld\n", static_cast<long long>(ns));
}

void run(std::vector<std::string> words) {
  if (words.size() < 3) fail("see the head of launch.cpp for the use");
  const std::string mode = words[0];
  const long count = number(words[1]);
  words.erase(words.begin(), words.begin() + 2);
  const auto rest_from = [&](size_t index) {
    if (words.size() <= index) fail("a command is missing");
    return Program({words.begin() + static_cast<std::ptrdiff_t>(index), words.end()});
  };
  if (mode == "alternate") {
    std::vector<Program> programs;
    auto begin = words.begin();
    while (begin <= words.end()) {
      const auto end = std::find(begin, words.end(), ":::");
      programs.emplace_back(std::vector<std::string>(begin, end));
      if (end == words.end()) break;
      begin = end + 1;
    }
    alternate(count, programs);
  } else if (mode == "burst") {
    print(burst(count, rest_from(0)));
  } else if (mode == "workers") {
    print(workers(count, number(words[0]), rest_from(1)));
  } else if (mode == "queue") {
    const Program program = rest_from(2);
    print(queue(count, words[0] == "apart", words[1], program));
  } else {
    fail("unknown mode " + mode);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run({argv + 1, argv + argc});
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "launch: %s\n", problem.what());
    end_children();
    return 1;
  }
}

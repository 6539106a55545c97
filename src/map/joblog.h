#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "util/unique_fd.h"

namespace cachify::map {

// How one item ended, for the log.
struct LogEntry {
  uint64_t number = 0;
  int64_t started_us = 0;  // wall clock
  int64_t runtime_us = 0;
  int64_t received = 0;  // bytes of standard output
  int code = 0;          // 0 when a signal ended it
  int signal = 0;
  std::string command;       // as a shell would need it written
  bool interrupted = false;  // its line stays away
};

// A line, with its end, in GNU parallel's columns.
std::string log_line(const LogEntry& entry);

// --joblog: a line for each item once it has ended for good and its output has been handed over.
// A line is one write(2) at the end of the file: after a SIGKILL it is there whole or not at all,
// and what is there whole counts as done. A torn line, as a full disk or a power cut leaves it, is
// cut off before anything is appended.
class Joblog {
 public:
  enum class Resume { no, all, failed };

  // No file at all: nothing is logged, nothing is done.
  Joblog() = default;
  // Begins a new log, or reads the one that is there. Nobody else may be writing it: refused with
  // 75. Throws Error.
  Joblog(const std::string& path, Resume resume);

  // This item is not to be run again.
  bool is_done(uint64_t number) const { return number < done_.size() && done_[number]; }

  // Throws OsError.
  void append(const std::string& line);

 private:
  void read(Resume resume);
  void read_line(std::string_view line, Resume resume);

  std::string path_;
  util::UniqueFd fd_;
  std::vector<bool> done_;  // a bit for each item: ten million take a megabyte
};

}  // namespace cachify::map

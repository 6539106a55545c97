#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace cachify::map {

// No command line of Linux is longer than this (3/4 of the kernel's largest argument area).
inline constexpr size_t kLongestItem = 6 * 1024 * 1024;

// One piece of input between delimiters.
struct Record {
  std::string text;
  bool too_long = false;  // longer than `longest`; the text was dropped
};

// Cuts what is read from a descriptor into records. Holds at most one record and a little more,
// and reads only when asked to, so that nothing is taken from the input that is not wanted yet.
class Reader {
 public:
  // `fd` stays the caller's.
  Reader(int fd, char delimiter, size_t longest = kLongestItem)
      : fd_(fd), delimiter_(delimiter), longest_(longest) {}

  // One read(2), which blocks where there is nothing to read yet. False, errno set: it failed
  // (EAGAIN: nothing is there).
  bool fill();

  // The next whole record of what was read so far; at the end of the input also the last one, which
  // needs no delimiter behind it.
  std::optional<Record> next();

  bool at_end() const { return at_end_; }
  // The input has ended and every record was handed out.
  bool done() const { return at_end_ && begin_ == bytes_.size() && !skipping_; }
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  int fd_;
  char delimiter_;
  size_t longest_;
  std::string bytes_;  // read and not handed out: from begin_ on
  size_t begin_ = 0;
  size_t looked_ = 0;      // up to here there is no delimiter
  bool skipping_ = false;  // inside a record that is too long
  bool at_end_ = false;
  uint64_t bytes_read_ = 0;
};

}  // namespace cachify::map

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "util/unique_fd.h"

namespace cachify::map {

// What an item leaves behind when it has ended for good.
struct Result {
  uint64_t number = 0;
  std::string tag;  // stands before each line; with Output's `tagged` only
  util::UniqueFd out;
  util::UniqueFd err;
  std::string log;  // its line for the joblog
};

// Hands the outputs of ended items on to standard output and standard error, each in one piece, and
// then its line to the log: what is logged was handed over.
//
// With `keep_order` an item that ended before an earlier one is held: copied to the end of one
// temporary file, whose offsets stand in another one, by item number. So neither memory nor
// descriptors grow with what has to wait, and both files are emptied whenever nothing waits.
class Output {
 public:
  struct Hooks {
    // Returns when the descriptor can be written to; false: nobody will ever read, give up.
    std::function<bool(int fd)> wait_writable;
    std::function<void(const std::string& line)> log;
    std::function<void()> before_writing;  // gets the progress bar out of the way
  };

  Output(bool keep_order, bool tagged, Hooks hooks);

  // Throws OsError when standard output cannot be written to.
  void hand_over(Result result);
  // With keep_order: this item will leave nothing.
  void skip(uint64_t number);
  // Writes all that is held; what is missing in between will not come any more.
  void finish();

  // Whoever read standard output has gone away; what comes is dropped.
  bool reader_gone() const { return out_.reader_gone; }

 private:
  struct Stream {
    int fd;
    bool regular = false;  // a write never waits for a reader
    bool broken = false;   // nothing is written any more
    bool reader_gone = false;
  };
  struct Held;

  void emit(Stream& to, int from, int64_t begin, int64_t size, const std::string& tag);
  void emit_tagged(Stream& to, int from, int64_t begin, int64_t size, const std::string& tag);
  void write(Stream& to, const char* data, size_t size);
  void hold(const Result& result);
  bool emit_held(uint64_t number);
  void log(const std::string& line) const;
  void copy_to_backlog(int from, int64_t size);
  uint64_t place_of(uint64_t number) const;
  void set_place(uint64_t number, uint64_t place);
  void advance();

  bool keep_order_;
  bool tagged_;
  Hooks hooks_;
  Stream out_;
  Stream err_;
  uint64_t next_ = 1;  // keep_order: the item whose turn it is
  uint64_t held_ = 0;  // how many wait
  uint64_t last_ = 0;  // the highest number seen
  util::UniqueFd backlog_;
  int64_t backlog_size_ = 0;
  util::UniqueFd places_;  // by item number: its offset in the backlog + 1, or kNothing
};

}  // namespace cachify::map

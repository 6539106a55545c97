#pragma once

#include <cstdint>
#include <string>

#include "util/unique_fd.h"

namespace cachify::map {

// A file without a name, in TMPDIR or /tmp, which is gone with its last descriptor: for output that
// waits for the end of its run, and for whatever must not be kept in memory. Opened for appending,
// so that what several processes write to it is never written over. Throws OsError.
util::UniqueFd make_spool();

// How long it is; 0 for no descriptor.
int64_t spool_size(int fd);

// --results DIR: DIR/N/ with stdout, stderr, exit and item of item N. Throws OsError.
class Results {
 public:
  explicit Results(std::string directory);  // made when it is not there, with its parents

  // An empty file to write to and to read from, in DIR/number/, which is made.
  util::UniqueFd open(uint64_t number, const char* name) const;
  // `text` and a line's end.
  void write(uint64_t number, const char* name, const std::string& text) const;

 private:
  std::string directory_;
};

}  // namespace cachify::map

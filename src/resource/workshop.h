#pragma once

#include <string>
#include <vector>

#include "resource/catalogue.h"
#include "store/store.h"
#include "util/unique_fd.h"

namespace cachify::resource {

// Files that tell who is at work. Each is made and locked (flock) before the catalogue names it;
// what a --create prints goes into its file, through the very open file that has the lock. So the
// file stays locked as long as cachify or that command lives, and what was printed outlives both.
//
// They lie in the store's own directory or, where the store is a server, in one of this user on
// this host, which others then cannot look into.
class Workshop : public Works {
 public:
  // Opens the directory when it is first needed. Throws then: ConfigError when it is not to be
  // trusted, StoreError when it cannot be used.
  explicit Workshop(const store::Store& store);
  ~Workshop() override;  // what was begun and never committed leaves no file
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  // A change of the catalogue may be tried several times: rewind() before each, commit() after the
  // one that was kept.
  Work begin(int64_t until_us) override;
  void rewind() noexcept { drawn_ = 0; }
  void commit() noexcept;

  Progress progress(const Work& work, int64_t now_us) override;
  Made made(const Work& work) override;

  // For a committed piece of work of this process: the file, opened for appending, whose lock goes
  // with it to a command; and what the command has printed into it.
  int fd_of(const Work& work) const noexcept;
  Made outcome_of(const Work& work) const;
  // Unlocks, and deletes the file.
  void end(const Work& work) noexcept;
  // Deletes the file of somebody who has ended.
  void discard(const Work& work) noexcept;

 private:
  struct Bench {
    std::string file;
    util::UniqueFd fd;
  };
  int directory();
  void open_directory();
  void sweep() const noexcept;
  bool is_here(const Work& work);

  std::string path_;
  bool of_store_;
  util::UniqueFd directory_;
  std::string place_;
  std::vector<Bench> spare_;  // the first drawn_ of them are named by the change under way
  size_t drawn_ = 0;
  std::vector<Bench> used_;
};

// The shell text that runs `create` and then notes how it ended behind what it has printed; and the
// reading of that.
extern const char* const kCreateWrapper;
Made made_of(const std::string& printed);

}  // namespace cachify::resource

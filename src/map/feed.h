#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "map/reader.h"
#include "map/request.h"
#include "map/template.h"
#include "util/unique_fd.h"

namespace cachify::map {

struct Item {
  uint64_t number = 0;  // from 1, the header not counted
  std::string text;
  bool too_long = false;
  int64_t tries = 0;  // that have failed
};

// Where the items come from: a few of them read ahead, those that were done before left out, those
// that are to be tried again first in line.
class Feed {
 public:
  struct Hooks {
    std::function<bool(uint64_t number)> is_done;  // by an earlier call
    std::function<void(uint64_t number)> skipped;  // because of that
  };
  // Opens the input. Throws OsError.
  Feed(const Request& request, Hooks hooks);

  // --strict: reads all of the input into a temporary file and looks whether each row can be read
  // and is as long as the others. `wait` returns once there is something to read; false: give up,
  // which is what is returned then. Throws UsageError that names the item.
  bool rehearse(const std::function<bool(int fd)>& wait);

  // The descriptor to read() from as soon as that can be done; -1: nothing is wanted now.
  int wants() const;
  // Throws OsError, and UsageError for a header that is none.
  void read();
  // Nothing more is read and what is queued is dropped; or (end of reading) is still handed out.
  void stop();
  void stop_reading() { ended_ = true; }

  bool pending() const { return !again_.empty() || !queue_.empty(); }
  size_t pending_count() const { return again_.size() + queue_.size(); }
  // Nothing is pending, and nothing will be.
  bool finished() const { return ended_ && !pending(); }
  bool ended() const { return ended_; }
  Item take();
  void again(Item item) { again_.push_back(std::move(item)); }
  // Goes back as if it had not been taken.
  void put_back(Item item) { again_.push_front(std::move(item)); }

  // COMMAND, once the first item is there.
  const Template& command() const { return *command_; }
  Row row_of(const Item& item) const;  // throws Unreadable

  uint64_t skipped() const { return skipped_; }
  // How many items there are; a guess while a file is still being read; nullopt: nobody knows.
  std::optional<int64_t> total() const;
  bool total_is_a_guess() const { return !reader_.at_end(); }

 private:
  void pull();
  void take_header(const Record& record);

  const Request& request_;
  Hooks hooks_;
  util::UniqueFd opened_;
  int fd_;
  Reader reader_;
  int64_t file_size_ = -1;  // of a regular file
  bool header_wanted_;
  std::vector<std::string> names_;
  std::unique_ptr<Template> command_;
  std::deque<Item> queue_;
  std::deque<Item> again_;
  size_t queued_bytes_ = 0;
  uint64_t number_ = 0;
  uint64_t skipped_ = 0;
  bool ended_ = false;
};

}  // namespace cachify::map

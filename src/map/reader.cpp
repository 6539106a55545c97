#include "map/reader.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cachify::map {

namespace {

// Small, so that little is taken ahead of what the caller asked for; a long record takes more.
constexpr size_t kFirstRead = 4096;
constexpr size_t kLargeRead = 64 * 1024;

}  // namespace

bool Reader::fill() {
  if (at_end_) return true;
  if (begin_ > 0) {
    bytes_.erase(0, begin_);
    looked_ -= begin_;
    begin_ = 0;
  }
  const size_t had = bytes_.size();
  const size_t wanted = had < kFirstRead ? kFirstRead : kLargeRead;
  bytes_.resize(had + wanted);
  ssize_t got = 0;
  do {
    got = ::read(fd_, bytes_.data() + had, wanted);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  bytes_.resize(had + static_cast<size_t>(got > 0 ? got : 0));
  errno = error;
  if (got < 0) return false;
  bytes_read_ += static_cast<uint64_t>(got);
  if (got == 0) at_end_ = true;
  return true;
}

std::optional<Record> Reader::next() {
  const void* found = looked_ < bytes_.size() ? std::memchr(bytes_.data() + looked_, delimiter_,
                                                            bytes_.size() - looked_)
                                              : nullptr;
  if (found == nullptr) {
    looked_ = bytes_.size();
    if (bytes_.size() - begin_ > longest_) {
      skipping_ = true;
      begin_ = bytes_.size();
    }
    if (!at_end_ || done()) return std::nullopt;
  }
  const size_t end = found == nullptr
                         ? bytes_.size()
                         : static_cast<size_t>(static_cast<const char*>(found) - bytes_.data());
  Record record;
  record.too_long = skipping_ || end - begin_ > longest_;
  if (!record.too_long) record.text.assign(bytes_, begin_, end - begin_);
  begin_ = looked_ = found == nullptr ? end : end + 1;
  skipping_ = false;
  return record;
}

}  // namespace cachify::map

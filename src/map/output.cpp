#include "map/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "errors.h"
#include "map/spool.h"
#include "util/files.h"

namespace cachify::map {

namespace {

constexpr uint64_t kNothing = UINT64_MAX;
std::array<char, 65536> g_buffer;

[[noreturn]] void fail_spool() {
  throw OsError("cannot use a temporary file (TMPDIR says where)", errno);
}

ssize_t read_spool(int fd, int64_t at, int64_t left) {
  const auto size = static_cast<size_t>(std::min<int64_t>(left, g_buffer.size()));
  const ssize_t got = util::read_at(fd, g_buffer.data(), size, at);
  if (got < 0) fail_spool();
  return got;
}

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

// What stands in the backlog before the texts of a held item.
struct Output::Held {
  int64_t out = 0;
  int64_t err = 0;
  int64_t tag = 0;
  int64_t log = 0;
};

Output::Output(bool keep_order, bool tagged, Hooks hooks)
    : keep_order_(keep_order),
      tagged_(tagged),
      hooks_(std::move(hooks)),
      out_{STDOUT_FILENO, is_regular(STDOUT_FILENO)},
      err_{STDERR_FILENO, is_regular(STDERR_FILENO)} {}

void Output::write(Stream& to, const char* data, size_t size) {
  while (size > 0 && !to.broken) {
    size_t piece = size;
    if (!to.regular) {
      // A pipe that is writable takes as much as this without making us wait.
      piece = std::min<size_t>(size, PIPE_BUF);
      pollfd waiting{to.fd, POLLOUT, 0};
      if (::poll(&waiting, 1, 0) == 0 && !hooks_.wait_writable(to.fd)) {
        to.broken = true;
        return;
      }
    }
    const ssize_t written = ::write(to.fd, data, piece);
    if (written >= 0) {
      data += written;
      size -= static_cast<size_t>(written);
    } else if (errno == EAGAIN || errno == EINTR) {
      continue;
    } else if (errno == EPIPE || to.fd == STDERR_FILENO) {
      to.broken = true;
      to.reader_gone = errno == EPIPE;
    } else {
      to.broken = true;
      throw OsError("cannot write to standard output", errno);
    }
  }
}

void Output::emit(Stream& to, int from, int64_t begin, int64_t size, const std::string& tag) {
  if (size <= 0 || to.broken) return;
  hooks_.before_writing();
  if (tagged_) {
    emit_tagged(to, from, begin, size, tag);
    return;
  }
  while (size > 0) {
    const ssize_t got = read_spool(from, begin, size);
    if (got == 0) return;
    write(to, g_buffer.data(), static_cast<size_t>(got));
    begin += got;
    size -= got;
  }
}

void Output::emit_tagged(Stream& to, int from, int64_t begin, int64_t size,
                         const std::string& tag) {
  bool line_begins = true;
  std::string text;
  while (size > 0) {
    const ssize_t got = read_spool(from, begin, size);
    if (got == 0) break;
    begin += got;
    size -= got;
    text.clear();
    const char* at = g_buffer.data();
    const char* const end = at + got;
    while (at < end) {
      if (line_begins) text += tag;
      const void* found = std::memchr(at, '\n', static_cast<size_t>(end - at));
      const char* stop = found != nullptr ? static_cast<const char*>(found) + 1 : end;
      line_begins = found != nullptr;
      text.append(at, stop);
      at = stop;
    }
    write(to, text.data(), text.size());
  }
}

void Output::hand_over(Result result) {
  if (keep_order_ && result.number != next_) {
    hold(result);
    return;
  }
  emit(out_, result.out.get(), 0, spool_size(result.out.get()), result.tag);
  emit(err_, result.err.get(), 0, spool_size(result.err.get()), result.tag);
  log(result.log);
  if (keep_order_) {
    ++next_;
    advance();
  }
}

void Output::skip(uint64_t number) {
  if (!keep_order_) return;
  if (number == next_) {
    ++next_;
    advance();
    return;
  }
  set_place(number, kNothing);
  ++held_;
  last_ = std::max(last_, number);
}

void Output::hold(const Result& result) {
  const auto place = static_cast<uint64_t>(backlog_size_) + 1;
  if (!backlog_) backlog_ = make_spool();
  const Held held{spool_size(result.out.get()), spool_size(result.err.get()),
                  static_cast<int64_t>(result.tag.size()), static_cast<int64_t>(result.log.size())};
  std::string head(reinterpret_cast<const char*>(&held), sizeof held);
  head += result.tag;
  head += result.log;
  if (!util::write_at(backlog_.get(), head.data(), head.size(), backlog_size_)) fail_spool();
  backlog_size_ += static_cast<int64_t>(head.size());
  copy_to_backlog(result.out.get(), held.out);
  copy_to_backlog(result.err.get(), held.err);
  set_place(result.number, place);
  ++held_;
  last_ = std::max(last_, result.number);
}

// Exactly `size` bytes: something that the run left behind may still be writing.
void Output::copy_to_backlog(int from, int64_t size) {
  int64_t at = 0;
  while (at < size) {
    const ssize_t got = read_spool(from, at, size - at);
    if (got == 0) fail_spool();
    if (!util::write_at(backlog_.get(), g_buffer.data(), static_cast<size_t>(got), backlog_size_)) {
      fail_spool();
    }
    at += got;
    backlog_size_ += got;
  }
}

uint64_t Output::place_of(uint64_t number) const {
  uint64_t place = 0;
  const auto at = static_cast<off_t>(number * sizeof place);
  if (places_ && util::read_at(places_.get(), &place, sizeof place, at) < 0) fail_spool();
  return place;
}

void Output::set_place(uint64_t number, uint64_t place) {
  if (!places_) {
    places_ = make_spool();
    // Written by number, not at its end.
    if (::fcntl(places_.get(), F_SETFL, 0) != 0) fail_spool();
  }
  const auto at = static_cast<off_t>(number * sizeof place);
  if (!util::write_at(places_.get(), &place, sizeof place, at)) fail_spool();
}

// False: this item has not ended yet.
bool Output::emit_held(uint64_t number) {
  const uint64_t place = place_of(number);
  if (place == 0) return false;
  --held_;
  if (place == kNothing) return true;
  auto at = static_cast<int64_t>(place - 1);
  Held held;
  const auto read = [&](void* to, size_t size) {
    if (util::read_at(backlog_.get(), to, size, at) != static_cast<ssize_t>(size)) fail_spool();
    at += static_cast<int64_t>(size);
  };
  read(&held, sizeof held);
  std::string tag(static_cast<size_t>(held.tag), '\0');
  std::string line(static_cast<size_t>(held.log), '\0');
  read(tag.data(), tag.size());
  read(line.data(), line.size());
  emit(out_, backlog_.get(), at, held.out, tag);
  emit(err_, backlog_.get(), at + held.out, held.err, tag);
  log(line);
  return true;
}

// What nobody has read is not done: resumed, it is run again.
void Output::log(const std::string& line) const {
  if (!out_.broken) hooks_.log(line);
}

void Output::advance() {
  while (held_ > 0 && emit_held(next_)) ++next_;
  if (held_ > 0 || backlog_size_ == 0) return;
  if (::ftruncate(backlog_.get(), 0) != 0 || ::ftruncate(places_.get(), 0) != 0) fail_spool();
  backlog_size_ = 0;
}

void Output::finish() {
  while (held_ > 0 && next_ <= last_) {
    advance();
    ++next_;
  }
}

}  // namespace cachify::map

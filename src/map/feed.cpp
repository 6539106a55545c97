#include "map/feed.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"
#include "map/spool.h"
#include "util/files.h"
#include "util/text.h"

namespace cachify::map {

namespace {

// Read ahead at most this, however few items that are.
constexpr size_t kQueuedBytes = size_t{1024} * 1024;

std::string item_text(uint64_t number) {
  return "item " + std::to_string(number) + " ";
}

int64_t rest_of_file(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return -1;
  const off_t at = ::lseek(fd, 0, SEEK_CUR);
  return at < 0 ? -1 : status.st_size - at;
}

util::UniqueFd open_input(const Request& request) {
  if (!request.input) return {};
  util::UniqueFd fd =
      util::open_above_stdio(AT_FDCWD, request.input->c_str(), O_RDONLY | O_CLOEXEC);
  if (!fd) throw OsError("cannot open the input " + util::quoted(*request.input), errno);
  return fd;
}

}  // namespace

Feed::Feed(const Request& request, Hooks hooks)
    : request_(request),
      hooks_(std::move(hooks)),
      opened_(open_input(request)),
      fd_(opened_ ? opened_.get() : STDIN_FILENO),
      reader_(fd_, request.format.delimiter),
      file_size_(rest_of_file(fd_)),
      header_wanted_(request.format.header) {
  if (!header_wanted_)
    command_ = std::make_unique<Template>(request.command, request.format, names_);
}

bool Feed::rehearse(const std::function<bool(int fd)>& wait) {
  util::UniqueFd spool = make_spool();
  std::string copied;
  uint64_t number = 0;
  bool header = request_.format.header;
  std::vector<std::string> names;
  std::optional<size_t> columns;
  const auto flush = [&] {
    if (!util::write_at(spool.get(), copied.data(), copied.size(), 0)) {
      throw OsError("cannot use a temporary file (TMPDIR says where)", errno);
    }
    copied.clear();
  };
  while (!reader_.done()) {
    std::optional<Record> record = reader_.next();
    if (!record) {
      if (reader_.at_end()) break;
      if (!wait(fd_)) return false;
      if (!reader_.fill() && errno != EAGAIN) throw OsError("cannot read the input", errno);
      continue;
    }
    const std::string what = header ? "the header " : item_text(++number);
    try {
      if (record->too_long) throw Unreadable("is too long");
      const Row row = read_row(request_.format, names, record->text);
      if (header) names = read_header(request_.format, record->text);
      const size_t length = row.columns.size();
      const bool counts = request_.format.separator || header || length > 0;
      if (counts && columns && length != *columns) {
        throw Unreadable("has " + std::to_string(length) + (length == 1 ? " column" : " columns") +
                         ", not " + std::to_string(*columns));
      }
      if (counts && !columns) columns = length;
    } catch (const Unreadable& problem) {
      throw UsageError(what + problem.what() + "; nothing was started");
    }
    header = false;
    copied += record->text;
    copied += request_.format.delimiter;
    if (copied.size() > kQueuedBytes) flush();
  }
  flush();
  file_size_ = spool_size(spool.get());
  opened_ = std::move(spool);
  fd_ = opened_.get();
  if (::lseek(fd_, 0, SEEK_SET) != 0)
    throw OsError("cannot use a temporary file (TMPDIR says where)", errno);
  reader_ = Reader(fd_, request_.format.delimiter);
  return true;
}

int Feed::wants() const {
  if (ended_ || queue_.size() >= static_cast<size_t>(request_.queue)) return -1;
  return queue_.empty() || queued_bytes_ < kQueuedBytes ? fd_ : -1;
}

void Feed::read() {
  if (!reader_.fill()) {
    if (errno == EAGAIN) return;
    throw OsError("cannot read the input", errno);
  }
  pull();
}

// From what was read already.
void Feed::pull() {
  while (wants() >= 0) {
    std::optional<Record> record = reader_.next();
    if (!record) {
      if (reader_.at_end()) ended_ = true;
      return;
    }
    if (header_wanted_) {
      take_header(*record);
      continue;
    }
    ++number_;
    if (hooks_.is_done(number_)) {
      ++skipped_;
      hooks_.skipped(number_);
      continue;
    }
    queued_bytes_ += record->text.size();
    queue_.push_back({number_, std::move(record->text), record->too_long, 0});
  }
}

void Feed::take_header(const Record& record) {
  try {
    if (record.too_long) throw Unreadable("is too long");
    names_ = read_header(request_.format, record.text);
  } catch (const Unreadable& problem) {
    throw UsageError(std::string("the header ") + problem.what());
  }
  header_wanted_ = false;
  command_ = std::make_unique<Template>(request_.command, request_.format, names_);
}

void Feed::stop() {
  ended_ = true;
  queue_.clear();
  again_.clear();
  queued_bytes_ = 0;
}

Item Feed::take() {
  std::deque<Item>& from = again_.empty() ? queue_ : again_;
  Item item = std::move(from.front());
  from.pop_front();
  if (&from == &queue_) {
    queued_bytes_ -= item.text.size();
    pull();
  }
  return item;
}

Row Feed::row_of(const Item& item) const {
  if (item.too_long) throw Unreadable("is too long");
  return read_row(request_.format, names_, item.text);
}

std::optional<int64_t> Feed::total() const {
  if (ended_) return static_cast<int64_t>(number_);
  if (file_size_ < 0 || reader_.bytes_read() == 0) return std::nullopt;
  const double share = static_cast<double>(file_size_) / static_cast<double>(reader_.bytes_read());
  return static_cast<int64_t>(static_cast<double>(number_) * (share < 1 ? 1 : share));
}

}  // namespace cachify::map

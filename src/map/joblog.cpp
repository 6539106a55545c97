#include "map/joblog.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "errors.h"
#include "map/reader.h"
#include "util/files.h"
#include "util/parse.h"
#include "util/text.h"

namespace cachify::map {

namespace {

constexpr std::string_view kHeader =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
constexpr int64_t kMostItems = 1'000'000'000;
constexpr size_t kLongestLine = size_t{64} * 1024 * 1024;

std::string_view column(std::string_view line, int number) {
  for (; number > 0; --number) {
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) return {};
    line.remove_prefix(tab + 1);
  }
  return line.substr(0, line.find('\t'));
}

// The lock of a process, not of the open file: a run that is on its way from fork to exec has that
// too, and would keep the log of a map that was killed meanwhile. False: another process has it.
bool lock_log(int fd) {
  struct flock all {};
  all.l_type = F_WRLCK;
  all.l_whence = SEEK_SET;
  return ::fcntl(fd, F_SETLK, &all) == 0 || (errno != EAGAIN && errno != EACCES);
}

}  // namespace

std::string log_line(const LogEntry& entry) {
  char numbers[160];
  const int size = std::snprintf(numbers, sizeof numbers,
                                 "%llu\t:\t%lld.%03lld\t%6lld.%03lld\t0\t%lld\t%d\t%d\t",
                                 static_cast<unsigned long long>(entry.number),
                                 static_cast<long long>(entry.started_us / 1'000'000),
                                 static_cast<long long>(entry.started_us / 1000 % 1000),
                                 static_cast<long long>(entry.runtime_us / 1'000'000),
                                 static_cast<long long>(entry.runtime_us / 1000 % 1000),
                                 static_cast<long long>(entry.received), entry.code, entry.signal);
  return std::string(numbers, static_cast<size_t>(size)) + entry.command + '\n';
}

Joblog::Joblog(const std::string& path, Resume resume) : path_(path) {
  fd_ =
      util::open_above_stdio(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (!fd_) throw OsError("cannot open the joblog " + util::quoted(path), errno);
  if (!lock_log(fd_.get())) {
    throw Error(kExitFull,
                "the joblog " + util::quoted(path) +
                    " is being written by another map; wait for its end, or name another "
                    "file");
  }
  if (resume == Resume::no) {
    // What cannot be shortened, such as /dev/stderr, is simply written to.
    static_cast<void>(::ftruncate(fd_.get(), 0) == 0);
    append(std::string(kHeader) + '\n');
  } else {
    read(resume);
  }
}

void Joblog::read(Resume resume) {
  Reader reader(fd_.get(), '\n', kLongestLine);
  uint64_t whole = 0;  // bytes of the lines that have their end
  bool first = true;
  while (!reader.done()) {
    std::optional<Record> record = reader.next();
    if (!record) {
      if (reader.at_end()) break;
      if (!reader.fill()) throw OsError("cannot read the joblog " + util::quoted(path_), errno);
      continue;
    }
    const uint64_t end = whole + record->text.size() + 1;
    const bool torn = end > reader.bytes_read();
    const bool ours =
        !first || (torn ? kHeader.starts_with(record->text) : record->text == kHeader);
    if (record->too_long || !ours) {
      throw UsageError(util::quoted(path_) +
                       " is not a joblog; name another file (nothing was started)");
    }
    if (torn) break;
    if (!first) read_line(record->text, resume);
    first = false;
    whole = end;
  }
  if (::ftruncate(fd_.get(), static_cast<off_t>(whole)) != 0) {
    throw OsError("cannot mend the joblog " + util::quoted(path_), errno);
  }
  if (first) append(std::string(kHeader) + '\n');
}

// Of several lines about an item the last one counts.
void Joblog::read_line(std::string_view line, Resume resume) {
  const auto number = util::parse_integer(column(line, 0), 1, kMostItems);
  if (!number) return;
  const auto index = static_cast<size_t>(*number);
  if (done_.size() <= index) done_.resize(index + 1);
  const bool succeeded = column(line, 6) == "0" && column(line, 7) == "0";
  done_[index] = resume == Resume::all || succeeded;
}

void Joblog::append(const std::string& line) {
  if (!fd_) return;
  const char* rest = line.data();
  size_t left = line.size();
  while (left > 0) {
    const ssize_t written = ::write(fd_.get(), rest, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw OsError("cannot write the joblog " + util::quoted(path_), errno);
    rest += written;
    left -= static_cast<size_t>(written);
  }
}

}  // namespace cachify::map

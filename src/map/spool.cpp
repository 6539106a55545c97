#include "map/spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "errors.h"
#include "util/files.h"
#include "util/text.h"

namespace cachify::map {

namespace {

// Where a file system knows no files without a name.
util::UniqueFd make_and_unlink(const std::string& directory) {
  std::string path = directory + "/cachify-XXXXXX";
  const util::UniqueFd made(::mkostemp(path.data(), O_CLOEXEC));
  if (!made) return {};
  util::UniqueFd fd = util::open_above_stdio(AT_FDCWD, path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  const int error = errno;
  ::unlink(path.c_str());
  errno = error;
  return fd;
}

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return;
  throw OsError("cannot make the directory " + util::quoted(path), errno);
}

}  // namespace

util::UniqueFd make_spool() {
  const char* given = std::getenv("TMPDIR");
  const std::string directory = given != nullptr && *given == '/' ? given : "/tmp";
  util::UniqueFd fd = util::open_above_stdio(AT_FDCWD, directory.c_str(),
                                             O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    fd = make_and_unlink(directory);
  }
  if (!fd) throw OsError("cannot make a temporary file in " + util::quoted(directory), errno);
  return fd;
}

int64_t spool_size(int fd) {
  struct stat status {};
  return fd >= 0 && ::fstat(fd, &status) == 0 ? status.st_size : 0;
}

Results::Results(std::string directory) : directory_(std::move(directory)) {
  for (size_t slash = directory_.find('/', 1); slash != std::string::npos;
       slash = directory_.find('/', slash + 1)) {
    make_directory(directory_.substr(0, slash));
  }
  make_directory(directory_);
}

util::UniqueFd Results::open(uint64_t number, const char* name) const {
  const std::string folder = directory_ + "/" + std::to_string(number);
  const std::string path = folder + "/" + name;
  constexpr int kFlags = O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC;
  util::UniqueFd fd = util::open_above_stdio(AT_FDCWD, path.c_str(), kFlags, 0666);
  if (!fd && errno == ENOENT) {
    make_directory(folder);
    fd = util::open_above_stdio(AT_FDCWD, path.c_str(), kFlags, 0666);
  }
  if (!fd) throw OsError("cannot write " + util::quoted(path), errno);
  return fd;
}

void Results::write(uint64_t number, const char* name, const std::string& text) const {
  const util::UniqueFd fd = open(number, name);
  const std::string line = text + '\n';
  if (!util::write_at(fd.get(), line.data(), line.size(), 0)) {
    throw OsError(
        "cannot write " + util::quoted(directory_ + "/" + std::to_string(number) + "/" + name),
        errno);
  }
}

}  // namespace cachify::map

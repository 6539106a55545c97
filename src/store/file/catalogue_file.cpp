#include "store/file/catalogue_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"
#include "util/errno_text.h"
#include "util/files.h"

namespace cachify::store::file {

namespace {

constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
constexpr off_t kLargest = 64 << 20;

}  // namespace

CatalogueFile::CatalogueFile(const Directory& directory, const std::string& state_file)
    : directory_(directory), name_(state_file + "~c") {}

void CatalogueFile::fail(const char* doing) const {
  throw StoreError(std::string("cannot ") + doing + " " + directory_.path() + "/" + name_ + ": " +
                   util::errno_text(errno));
}

std::string CatalogueFile::read() const {
  const util::UniqueFd fd =
      util::open_above_stdio(directory_.fd(), name_.c_str(), O_RDONLY | kOpenFlags);
  if (!fd && errno == ENOENT) return {};
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) fail("open");
  if (!S_ISREG(status.st_mode) || status.st_size > kLargest) {
    throw StoreError(directory_.path() + "/" + name_ +
                     " is not the list of the resources of a key; remove it to use this key");
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  const ssize_t size = util::read_at(fd.get(), text.data(), text.size(), 0);
  if (size < 0) fail("read");
  text.resize(static_cast<size_t>(size));
  return text;
}

void CatalogueFile::write(const std::string& text) const {
  if (text.empty()) {
    if (::unlinkat(directory_.fd(), name_.c_str(), 0) != 0 && errno != ENOENT) fail("delete");
    return;
  }
  // Left behind by somebody who was killed: of no use, and perhaps not ours to write to.
  const std::string fresh = name_ + "~new";
  if (::unlinkat(directory_.fd(), fresh.c_str(), 0) != 0 && errno != ENOENT) fail("write");
  const util::UniqueFd fd =
      util::open_above_stdio(directory_.fd(), fresh.c_str(),
                             O_WRONLY | O_CREAT | O_EXCL | kOpenFlags, directory_.file_mode());
  // On the disk before its name is: what was made must not be forgotten when the power fails.
  if (!fd || !util::write_at(fd.get(), text.data(), text.size(), 0) || ::fdatasync(fd.get()) != 0 ||
      ::renameat(directory_.fd(), fresh.c_str(), directory_.fd(), name_.c_str()) != 0) {
    const int error_number = errno;
    ::unlinkat(directory_.fd(), fresh.c_str(), 0);
    errno = error_number;
    fail("write");
  }
}

}  // namespace cachify::store::file

#include "store/file/file_system.h"

#include <sys/vfs.h>

namespace cachify::store::file {

bool wakes_sleepers(int fd) {
  struct statfs status {};
  if (::fstatfs(fd, &status) != 0) return true;
  return !is_remote(static_cast<uint32_t>(status.f_type));
}

}  // namespace cachify::store::file

#include "store/file/file_system.h"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace cachify::store::file {

bool wakes_sleepers(int fd) {
  struct statfs status {};
  if (::fstatfs(fd, &status) != 0) return true;
  constexpr std::array<uint32_t, 9> kRemote = {
      0x6969 /* nfs */,      0x517b /* smb */,        0xfe534d42 /* smb2 */,
      0xff534d42 /* cifs */, 0x65735546 /* fuse */,   0x01021997 /* 9p */,
      0x00c36400 /* ceph */, 0x0bd00bd0 /* lustre */, 0x47504653 /* gpfs */};
  const auto type = static_cast<uint32_t>(status.f_type);
  return std::find(kRemote.begin(), kRemote.end(), type) == kRemote.end();
}

}  // namespace cachify::store::file

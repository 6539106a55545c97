#pragma once

#include <cstdint>

namespace cachify::store::file {

// Whether who sleeps on a file is woken by all that happens to it. Not so where other hosts or
// other mounts share its locks or mappings: there one has to look again and again.
bool wakes_sleepers(int fd);

// The same of a file system's type, as statfs(2) tells it.
constexpr bool is_remote(uint32_t type) {
  constexpr uint32_t kRemote[] = {
      0x6969 /* nfs */,      0x517b /* smb */,        0xfe534d42 /* smb2 */,
      0xff534d42 /* cifs */, 0x65735546 /* fuse */,   0x01021997 /* 9p */,
      0x00c36400 /* ceph */, 0x0bd00bd0 /* lustre */, 0x47504653 /* gpfs */};
  for (const uint32_t remote : kRemote) {
    if (type == remote) return true;
  }
  return false;
}

}  // namespace cachify::store::file

#pragma once

namespace cachify::store::file {

// Whether who sleeps on a file is woken by all that happens to it. Not so where other hosts or
// other mounts share its locks or mappings: there one has to look again and again.
bool wakes_sleepers(int fd);

}  // namespace cachify::store::file

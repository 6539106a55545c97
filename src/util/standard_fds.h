#pragma once

namespace cachify::util {

// Occupies those of the descriptors 0, 1 and 2 that cachify was started without, so that nothing
// that is opened later gets such a number and has messages written into it. The placeholders are
// close-on-exec: a command finds the descriptor closed, as we did. To be called first of all; one
// system call when all three are open.
void occupy_standard_fds() noexcept;

}  // namespace cachify::util

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "store/file/state_file.h"

namespace cachify::store::file {

// Who has a lock byte, as far as the table tells. To be noted under the mutex: afterwards the
// entry may belong to somebody else.
struct Owner {
  uint32_t index = 0;
  uint64_t ticket = 0;
  uint64_t first_byte = 0;  // kWaitByte or kLifeByte: a cachify; kHoldByte: all that keep the slot
  Info info{};
};
Owner owner_of(StateFile& state, uint32_t index, uint64_t first_byte);

enum class Reach {
  reached,
  gone,          // nobody has the byte
  out_of_reach,  // somebody has it, whom this process cannot see or may not signal
};

// Sends a signal to the processes that have certain lock bytes, and to nobody else: the number of
// a process is believed only while the lock that it is to have stands, which ends with it. 0 only
// looks. Processes whose number says nothing here (another PID namespace, a command whose cachify
// was killed) are looked for in /proc. One result for each owner. The mutex need not be held.
std::vector<Reach> signal_owners(StateFile& state, const std::vector<Owner>& owners, int signal);
// The same where the bytes lie in other files: `file_of` gives a descriptor of an owner's.
std::vector<Reach> signal_owners(const std::function<int(const Owner&)>& file_of,
                                 const std::vector<Owner>& owners, int signal);

}  // namespace cachify::store::file

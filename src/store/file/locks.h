#pragma once

#include <cstdint>

// Open-file-description locks on single bytes. They belong to the open file, not to the process,
// and end with its last descriptor. All throw StoreError when the file system has no such locks.
namespace cachify::store::file {

// Takes a byte that nobody else can have (tickets are never reused); throws when it is taken.
void lock_byte(int fd, uint64_t byte);
void unlock_byte(int fd, uint64_t byte);
// Whether some other open file has the byte. Its own locks an open file does not see.
bool byte_is_locked(int fd, uint64_t byte);
// Whether some other open file has any byte of the range that starts at `first`.
bool any_byte_is_locked(int fd, uint64_t first, uint64_t count);
// Blocks until nobody has the byte. May return early, after a signal. Costs no processor time.
void wait_for_byte(int fd, uint64_t byte);

}  // namespace cachify::store::file

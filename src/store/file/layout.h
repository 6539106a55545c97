#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

// The bytes of a state file. See PROTOCOL.md for what they mean and in which order they change.
//
//   page 0         header, 12 entries, their 12 infos: a small pool is one page
//   page 1         the key, when the file's name holds only a hash of it; else a hole
//   from page 2    blocks of 64 entries and their 64 infos
namespace cachify::store::file {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint32_t kFirstEntries = 12;
inline constexpr uint32_t kBlockEntries = 64;
inline constexpr uint32_t kMaxEntries = 1U << 20U;
inline constexpr uint64_t kMagic = 0x0131796669686361U;  // "achify1" and 1, little endian

// Values of Header::bell. Both leave the bits of a thread id 0, as the kernel's rule for the
// pending entry of a robust list asks; 0 is what a sleeping head expects.
inline constexpr uint32_t kBellArmed = 0;
inline constexpr uint32_t kBellRung = 0x40000000U;

struct Counters {
  uint64_t admitted;
  uint64_t completed;
  uint64_t rejected;
  uint64_t timed_out;
  uint64_t dismissed;
  uint64_t expired;
  uint64_t waited_us;
  uint64_t longest_wait_us;
};

struct Header {
  uint64_t magic;
  uint64_t next;        // the last number drawn for a ticket or a fence
  uint32_t high_water;  // entries from here on are free and not read
  uint32_t bell;
  uint32_t stored_max;  // 0: each caller's own N counts
  uint32_t closed;
  int64_t created_us;
  Counters counters;
  uint8_t reserved[148];
  uint32_t checksum;  // over all before it, and over those of the first entries
};

enum class EntryState : uint8_t {
  free = 0,
  waiting = 1,
  holding = 2,
  extra = 3,
  dismissed = 4,  // waited, was taken out of the queue, and has not seen that yet
};

// Entry::ending: 0, or somebody has asked the holder to end; then how long its command has from
// TERM to KILL, as 1 + ms, unless that is left to the holder.
inline constexpr uint32_t kEndingAsHolderSays = 0xffffffffU;

struct Entry {
  uint64_t ticket;
  uint64_t fence;    // holding
  int64_t expires;   // holding: CLOCK_BOOTTIME ns, 0: never
  int64_t expiry;    // waiting: ns that the slot will last, 0: no end
  uint32_t slot;     // holding, extra: the first slot of a contiguous range
  uint32_t count;    // holding, extra: slots in the range; waiting: the weight
  uint32_t primary;  // extra: the index of the holding entry
  uint32_t max;      // the N of the caller
  int16_t priority;
  EntryState state;
  uint8_t shared;
  uint32_t ending;    // holding
  uint32_t weight;    // of the whole claim
  uint32_t checksum;  // over all before it
};

struct Info {
  uint32_t pid;  // of who asked
  uint32_t uid;
  uint64_t pid_namespace;  // inode; 0: unknown
  int64_t since_us;        // wall clock
  char host[40];           // ends with NUL
  uint32_t process;        // that has the locks and is to be poked; mostly the same as pid
  char command[188];       // ends with NUL
};

static_assert(sizeof(Header) == 256 && std::is_trivially_copyable_v<Header>);
static_assert(sizeof(Entry) == 64 && std::is_trivially_copyable_v<Entry>);
static_assert(sizeof(Info) == 256 && std::is_trivially_copyable_v<Info>);
static_assert(offsetof(Header, checksum) % 4 == 0 && offsetof(Entry, checksum) % 4 == 0);
static_assert(sizeof(Header) + kFirstEntries * (sizeof(Entry) + sizeof(Info)) == kPage);

inline constexpr uint64_t kKeyTextOffset = kPage;
inline constexpr uint64_t kBlocksOffset = 2 * kPage;
inline constexpr uint64_t kBlockBytes = kBlockEntries * (sizeof(Entry) + sizeof(Info));

// Shard 0 is the state file itself; entry i of block b belongs to shard b + 1.
constexpr uint32_t shard_of(uint32_t index) {
  return index < kFirstEntries ? 0 : 1 + (index - kFirstEntries) / kBlockEntries;
}
constexpr uint64_t entry_offset(uint32_t index) {
  if (index < kFirstEntries) return sizeof(Header) + index * sizeof(Entry);
  const uint64_t rest = index - kFirstEntries;
  return kBlocksOffset + rest / kBlockEntries * kBlockBytes + rest % kBlockEntries * sizeof(Entry);
}
constexpr uint64_t info_offset(uint32_t index) {
  if (index < kFirstEntries) {
    return sizeof(Header) + kFirstEntries * sizeof(Entry) + index * sizeof(Info);
  }
  const uint64_t rest = index - kFirstEntries;
  return kBlocksOffset + rest / kBlockEntries * kBlockBytes + kBlockEntries * sizeof(Entry) +
         rest % kBlockEntries * sizeof(Info);
}
// How long a file with so many entries must be; a shorter one was truncated.
constexpr uint64_t file_bytes(uint32_t high_water) {
  return kBlocksOffset + (high_water == 0 ? 0 : shard_of(high_water - 1)) * kBlockBytes;
}

// Never 0, so that a zeroed entry is a free one and nothing else. `size` is a multiple of 4. By
// words, since a table is read whole under the mutex.
inline uint32_t checksum_of(const void* data, size_t size, uint32_t start = 2166136261U) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint64_t hash = start;
  for (size_t i = 0; i < size; i += sizeof(uint32_t)) {
    uint32_t word = 0;
    __builtin_memcpy(&word, bytes + i, sizeof word);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32U;
  }
  const auto folded = static_cast<uint32_t>(hash ^ (hash >> 29U));
  return folded == 0 ? 1 : folded;
}
inline uint32_t checksum_of(const Entry& entry) {
  return checksum_of(&entry, offsetof(Entry, checksum));
}
// The first entries are written together with the header, so it can tell when one of them was
// wiped out: that would look like a free one.
inline uint32_t checksum_of(const Header& header, const Entry* first) {
  uint32_t hash = checksum_of(&header, offsetof(Header, checksum));
  for (uint32_t i = 0; i < header.high_water && i < kFirstEntries; ++i) {
    hash = checksum_of(&first[i].checksum, sizeof first[i].checksum, hash);
  }
  return hash;
}

// What is written in one piece.
struct Head {
  Header header;
  Entry entries[kFirstEntries];
};
static_assert(sizeof(Head) == sizeof(Header) + kFirstEntries * sizeof(Entry));
inline bool is_sound(const Head& head) {
  return head.header.checksum == checksum_of(head.header, head.entries);
}

// Lock bytes, far beyond the end of any file.
inline constexpr uint64_t kWaitByte = 1ULL << 60U;
inline constexpr uint64_t kLifeByte = 2ULL << 60U;
inline constexpr uint64_t kHoldByte = 3ULL << 60U;

}  // namespace cachify::store::file

#include "store/file/layout.h"

#include <doctest/doctest.h>

#include <cstring>

using namespace cachify::store::file;

TEST_CASE("entries and infos of the file never overlap, and none crosses a page") {
  uint64_t end = 0;
  for (uint32_t i = 0; i < kFirstEntries + 3 * kBlockEntries; ++i) {
    CAPTURE(i);
    const uint64_t entry = entry_offset(i);
    const uint64_t info = info_offset(i);
    CHECK(entry / kPage == (entry + sizeof(Entry) - 1) / kPage);
    CHECK(info / kPage == (info + sizeof(Info) - 1) / kPage);
    const bool first_of_block = i == 0 || (i >= kFirstEntries && (i - kFirstEntries) % 64 == 0);
    if (first_of_block) {
      CHECK(entry >= end);
    } else {
      CHECK(entry == entry_offset(i - 1) + sizeof(Entry));
      CHECK(info == info_offset(i - 1) + sizeof(Info));
    }
    CHECK(info > entry);
    // Neither lies in the page of the key's text.
    CHECK(entry / kPage != kKeyTextOffset / kPage);
    CHECK(info / kPage != kKeyTextOffset / kPage);
    end = info + sizeof(Info);
    CHECK(end <= file_bytes(i + 1));
  }
}

TEST_CASE("entries are spread over shards of no more than 64") {
  CHECK(shard_of(0) == 0);
  CHECK(shard_of(kFirstEntries - 1) == 0);
  CHECK(shard_of(kFirstEntries) == 1);
  CHECK(shard_of(kFirstEntries + 63) == 1);
  CHECK(shard_of(kFirstEntries + 64) == 2);
  CHECK(file_bytes(0) == kBlocksOffset);
  CHECK(file_bytes(kFirstEntries) == kBlocksOffset);
  CHECK(file_bytes(kFirstEntries + 1) == kBlocksOffset + kBlockBytes);
}

TEST_CASE("the lock bytes of the highest ticket lie beyond any file and apart from each other") {
  constexpr uint64_t kHighest = kWaitByte - 1;
  CHECK(file_bytes(kMaxEntries) < kWaitByte);
  CHECK(kWaitByte + kHighest < kLifeByte);
  CHECK(kLifeByte + kHighest < kHoldByte);
  CHECK(kHoldByte + kHighest < uint64_t{1} << 63U);
}

TEST_CASE("every flipped bit of an entry or a header is noticed") {
  Entry entries[kFirstEntries]{};
  entries[0].ticket = 77;
  entries[0].state = EntryState::holding;
  entries[0].checksum = checksum_of(entries[0]);
  Header header{};
  header.magic = kMagic;
  header.high_water = 2;
  header.checksum = checksum_of(header, entries);

  for (size_t i = 0; i < sizeof(Entry) * 8; ++i) {
    Entry bad = entries[0];
    reinterpret_cast<unsigned char*>(&bad)[i / 8] ^= static_cast<unsigned char>(1U << i % 8);
    CHECK(bad.checksum != checksum_of(bad));
  }
  for (size_t i = 0; i < sizeof(Header) * 8; ++i) {
    Header bad = header;
    reinterpret_cast<unsigned char*>(&bad)[i / 8] ^= static_cast<unsigned char>(1U << i % 8);
    CHECK(bad.checksum != checksum_of(bad, entries));
  }
  entries[0] = Entry{};  // looks like a free one by itself
  CHECK(header.checksum != checksum_of(header, entries));
}

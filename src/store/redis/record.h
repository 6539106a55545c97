#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "store/redis/failure.h"
#include "store/store.h"

namespace cachify::store::redis {

// The last part of a record: who it is. `pid uid pid-namespace user host command`, blanks and
// percent signs in user and host as %20 and %25.
std::string text_of(const Who& who, uint64_t pid_namespace);

struct WhoRecord {
  Who who;
  uint64_t pid_namespace = 0;
};
WhoRecord parse_who(std::string_view text);

// What is no record; Books says of which key.
struct DamagedRecord : Failure {
  DamagedRecord() : Failure(Kind::senseless, "a record is damaged") {}
};

// A whole record, as scripts/common.lua writes it. Both throw DamagedRecord.
struct Record {
  uint64_t fence = 0;
  int64_t since_us = 0;
  int64_t hard_end_us = 0;
  int64_t slot = 0;
  int64_t weight = 1;
  bool shared = false;
  int64_t max = 0;
  WhoRecord who;
};
Record parse_record(std::string_view text);

// A map that is under way, as scripts/map.lua writes it: `since figures who`. What is not one
// throws, too.
std::string text_of(const MapFigures& figures);
MapInfo parse_map(std::string_view text);

// Take the text up to the next blank. Both throw DamagedRecord where there is none.
std::string_view next_word(std::string_view& text);
template <class Number>
Number next_number(std::string_view& text);
extern template int64_t next_number<int64_t>(std::string_view& text);

}  // namespace cachify::store::redis

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace cachify::store::redis {

using Command = std::vector<std::string>;

// What a server said.
struct Reply {
  enum class Type { nil, status, error, integer, string, array };
  Type type = Type::nil;
  std::string text;  // status, error, string
  int64_t integer = 0;
  std::vector<Reply> elements;

  bool is_error() const noexcept { return type == Type::error; }
  // The checked way to the parts: each throws a senseless Failure when it is not that.
  const Reply& at(size_t index) const;
  const std::string& string() const;
  int64_t number() const;
};

// The texts of an array. Throws a senseless Failure.
std::vector<std::string> texts_in(const Reply& reply);
// For an answer that has the wrong words.
[[noreturn]] void not_understood(const std::string& text);

// A command in the form in which it is sent.
void append(std::string& to, const Command& command);

// Takes a stream of bytes apart. However wild they are, no more memory is used than kMostBytes and
// kMostElements allow. Throws a senseless Failure, after which the object is of no use.
class ReplyReader {
 public:
  static constexpr size_t kMostBytes = 32UL << 20U;  // of one reply
  static constexpr size_t kLongestText = 8UL << 20U;
  static constexpr size_t kLongestLine = 1UL << 20U;
  static constexpr size_t kMostElements = 500'000;

  ReplyReader();
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  void feed(const char* data, size_t size);
  // The next whole reply; nullopt: more bytes are needed.
  std::optional<Reply> next();

 private:
  struct Free {
    void operator()(redisReader* reader) const noexcept;
  };
  std::unique_ptr<redisReader, Free> reader_;
  size_t unused_ = 0;         // bytes that were fed since the last whole reply
  size_t elements_left_ = 0;  // of the reply that is being read
};

}  // namespace cachify::store::redis

#include "store/redis/reply.h"

#include <hiredis/hiredis.h>

#include <cstdlib>
#include <new>
#include <string_view>

#include "store/redis/failure.h"

namespace cachify::store::redis {

namespace {

[[noreturn]] void senseless(const std::string& text) {
  throw Failure(Failure::Kind::senseless, "the answer is not understood: " + text);
}

// hiredis asks these for its objects. Where it asks, the object goes to: the root is new, others
// have been made with the array that they belong to. nullptr ends the parsing.
Reply* place_for(const redisReadTask* task) noexcept {
  if (task->parent == nullptr) return new (std::nothrow) Reply;
  return &static_cast<Reply*>(task->parent->obj)->elements[static_cast<size_t>(task->idx)];
}

void* make_text(const redisReadTask* task, char* text, size_t size) noexcept {
  if (size > ReplyReader::kLongestText) return nullptr;
  Reply* reply = place_for(task);
  if (reply == nullptr) return nullptr;
  switch (task->type) {
    case REDIS_REPLY_STATUS:
      reply->type = Reply::Type::status;
      break;
    case REDIS_REPLY_ERROR:
      reply->type = Reply::Type::error;
      break;
    default:
      reply->type = Reply::Type::string;
      break;
  }
  reply->text.assign(text, size);
  return reply;
}

void* make_integer(const redisReadTask* task, long long value) noexcept {
  Reply* reply = place_for(task);
  if (reply == nullptr) return nullptr;
  reply->type = Reply::Type::integer;
  reply->integer = value;
  return reply;
}

void* make_nil(const redisReadTask* task) noexcept {
  return place_for(task);
}

// hiredis itself refuses what is nested deeper than 7 (0.14) or 9 (1.0), or nothing (from 1.1 on).
bool is_too_deep(const redisReadTask* task) noexcept {
  constexpr int kDeepest = 7;
  int depth = 0;
  for (; task != nullptr; task = task->parent) ++depth;
  return depth > kDeepest;
}

// The count is an int in hiredis 0.14 and a size_t from 1.0 on.
template <class Count>
void* make_array(const redisReadTask* task, Count count) noexcept {
  auto& left = *static_cast<size_t*>(task->privdata);
  if (static_cast<size_t>(count) > left || is_too_deep(task)) return nullptr;
  left -= static_cast<size_t>(count);
  Reply* reply = place_for(task);
  if (reply == nullptr) return nullptr;
  reply->type = Reply::Type::array;
  reply->elements.resize(static_cast<size_t>(count));
  return reply;
}

// Only servers that were asked for RESP3 send these.
template <class Functions>
void refuse_newer_types(Functions& functions) {
  if constexpr (requires { functions.createDouble; }) {
    functions.createDouble = [](const redisReadTask*, double, char*, size_t) -> void* {
      return nullptr;
    };
  }
  if constexpr (requires { functions.createBool; }) {
    functions.createBool = [](const redisReadTask*, int) -> void* { return nullptr; };
  }
}

redisReplyObjectFunctions* functions() {
  static redisReplyObjectFunctions table = [] {
    redisReplyObjectFunctions made{};
    made.createString = &make_text;
    made.createArray = &make_array;
    made.createInteger = &make_integer;
    made.createNil = &make_nil;
    made.freeObject = [](void* reply) { delete static_cast<Reply*>(reply); };
    refuse_newer_types(made);
    return made;
  }();
  return &table;
}

}  // namespace

const Reply& Reply::at(size_t index) const {
  if (type != Type::array || index >= elements.size()) senseless("a part is missing");
  return elements[index];
}

const std::string& Reply::string() const {
  if (type != Type::string && type != Type::status) senseless("a text is missing");
  return text;
}

int64_t Reply::number() const {
  if (type != Type::integer) senseless("a number is missing");
  return integer;
}

std::vector<std::string> texts_in(const Reply& reply) {
  std::vector<std::string> texts;
  for (const Reply& element : reply.elements) texts.push_back(element.string());
  return texts;
}

void not_understood(const std::string& text) {
  throw Failure(Failure::Kind::senseless, "the answer '" + text + "' is not understood");
}

void append(std::string& to, const Command& command) {
  std::vector<const char*> words;
  std::vector<size_t> sizes;
  for (const std::string& word : command) {
    words.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* text = nullptr;
  const auto size =
      redisFormatCommandArgv(&text, static_cast<int>(command.size()), words.data(), sizes.data());
  if (size < 0) throw std::bad_alloc();
  const std::unique_ptr<char, decltype(&redisFreeCommand)> owner(text, &redisFreeCommand);
  to.append(text, static_cast<size_t>(size));
}

void ReplyReader::Free::operator()(redisReader* reader) const noexcept {
  redisReaderFree(reader);
}

ReplyReader::ReplyReader() : reader_(redisReaderCreateWithFunctions(functions())) {
  if (!reader_) throw std::bad_alloc();
  reader_->privdata = &elements_left_;
  elements_left_ = kMostElements;
}

ReplyReader::~ReplyReader() = default;

void ReplyReader::feed(const char* data, size_t size) {
  unused_ += size;
  if (unused_ > kMostBytes) senseless("it is too long");
  if (redisReaderFeed(reader_.get(), data, size) != REDIS_OK) throw std::bad_alloc();
}

std::optional<Reply> ReplyReader::next() {
  void* object = nullptr;
  if (redisReaderGetReply(reader_.get(), &object) != REDIS_OK) {
    // Out of memory is what hiredis makes of our refusal of something too big.
    if (reader_->err == REDIS_ERR_OOM) senseless("it is too long");
    senseless(reader_->errstr);
  }
  if (object == nullptr) {
    // One item that is not whole yet; hiredis looks for its end from its start each time.
    const std::string_view there(reader_->buf + reader_->pos, reader_->len - reader_->pos);
    // A line with its end would have been read, so one that is there is the head of a text. (Its
    // `$` may have been read, and dropped, already.)
    const bool text = there.substr(0, 64).find("\r\n") != std::string_view::npos;
    if (there.size() > (text ? kLongestText + 1024 : kLongestLine)) senseless("it is too long");
    return std::nullopt;
  }
  const std::unique_ptr<Reply> reply(static_cast<Reply*>(object));
  elements_left_ = kMostElements;
  unused_ = reader_->len - reader_->pos;
  return std::move(*reply);
}

}  // namespace cachify::store::redis

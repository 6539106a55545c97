// Whatever bytes a server sends, however they are cut into pieces, the reader makes the same
// replies of them or calls them senseless; and so do those who look for words in the replies.
#include "store/redis/reply.h"

#include <algorithm>

#include "fuzz.h"
#include "store/redis/books.h"
#include "store/redis/failure.h"
#include "store/redis/record.h"
#include "store/redis/server_error.h"

using namespace cachify;
using namespace cachify::store::redis;

namespace {

// All replies as one text; the last one is "senseless" where the bytes are.
std::string replies_in(std::string_view text, size_t piece, std::vector<Reply>* replies) {
  std::string seen;
  const auto describe = [&](const auto& self, const Reply& reply) -> void {
    seen += std::to_string(static_cast<int>(reply.type)) + " " + std::to_string(reply.integer) +
            " " + reply.text + "(";
    for (const Reply& element : reply.elements) self(self, element);
    seen += ")";
  };
  try {
    ReplyReader reader;
    for (size_t i = 0; i < text.size(); i += piece) {
      const std::string_view part = text.substr(i, piece);
      reader.feed(part.data(), part.size());
      while (auto reply = reader.next()) {
        describe(describe, *reply);
        if (replies != nullptr) replies->push_back(std::move(*reply));
      }
    }
  } catch (const Failure& failure) {
    fuzz::require(failure.kind == Failure::Kind::senseless, "it is senseless");
    seen += "senseless";
  }
  return seen;
}

template <typename Function>
void understand(const Function& function) {
  try {
    function();
  } catch (const Failure& failure) {
    fuzz::require(*failure.what() != '\0', "a failure says something");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view text = fuzz::bytes(data + 1, size - 1);
  std::vector<Reply> replies;
  const std::string whole = replies_in(text, std::max<size_t>(text.size(), 1), &replies);
  if (text.size() < 4096) {
    fuzz::require(replies_in(text, 1U + data[0] % 16U, nullptr) == whole, "pieces do not matter");
  }
  for (const Reply& reply : replies) {
    understand([&] { Books::keep_answer(reply); });
    understand([&] { Books::summary(reply); });
    understand([&] { texts_in(reply); });
    understand([&] { parse_mark(reply.text); });
    understand([&] { parse_who(reply.text); });
    understand([&] { parse_record(reply.text); });
    if (reply.is_error()) understand([&] { throw_failure(reply, Endpoint{"host", 1, ""}); });
  }
  return 0;
}

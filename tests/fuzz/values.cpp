// The small readers and writers of values: within their bounds, and each the same way back.
#include <algorithm>

#include "fuzz.h"
#include "run/interrupts.h"
#include "settings.h"
#include "store/file/directory.h"
#include "store/inherited.h"
#include "util/parse.h"
#include "util/secret.h"
#include "util/text.h"
#include "util/time_text.h"

using namespace cachify;
using fuzz::require;

namespace {

void numbers(std::string_view text) {
  if (const auto number = util::parse_integer(text, -1000, 1000)) {
    require(*number >= -1000 && *number <= 1000, "a number is within its bounds");
    require(util::parse_integer(std::to_string(*number), -1000, 1000) == number,
            "and the same again");
  }
  util::parse_integer(text, INT64_MIN, INT64_MAX);
  util::parse_switch(text);
  parse_on_lost(text);
}

void durations(std::string_view text) {
  const auto duration = util::parse_duration(text);
  if (!duration) return;
  require(duration->count() >= 0 && *duration <= util::kLongest, "a duration is within its bounds");
  const bool all_zeros = text.find_first_of("123456789") == std::string_view::npos;
  require((duration->count() == 0) == all_zeros, "what is more than nothing stays more");
  require(!util::span_text(*duration).empty(), "it can be said");
  const auto again = util::parse_duration(util::seconds_text(*duration));
  require(again && (*duration - *again < std::chrono::milliseconds(1)), "and read again");
}

void texts(std::string_view text) {
  const std::string clean = util::without_passwords(text);
  require(util::without_passwords(clean) == clean, "what is clean stays clean");
  require(util::has_password(text) || clean == text, "nothing else is taken out");
  std::string blotted(text);
  util::blot_out_passwords(blotted);
  require(util::without_passwords(blotted, util::Among::one_word) ==
              util::without_passwords(text, util::Among::one_word),
          "in place is the same");
  for (size_t limit = 0; limit < std::min<size_t>(text.size(), 16); ++limit) {
    const std::string_view part = util::cut(text, limit);
    require(part.size() <= limit && limit - part.size() < 4, "a cut is near its limit");
  }
  util::quoted(text);
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t length = std::max<size_t>(util::utf8_length(rest), 1);
    require(length <= rest.size(), "a sequence ends within the text");
    util::is_control(rest.substr(0, length));
    rest.remove_prefix(length);
  }
}

void file_names(std::string_view text) {
  if (text.empty() || text.size() > 600) return;
  const store::file::FileName file = store::file::file_name(store::Kind::pool, std::string(text));
  require(file.name.size() <= 230 && file.name.find('/') == std::string::npos, "a name is a name");
  require(file.name.find('\0') == std::string::npos && file.name[0] == 'p', "and nothing else");
  require(store::file::is_state_file(store::Kind::pool, file.name), "it is known as one");
  if (!file.hashed) require(store::file::key_in_name(file.name) == text, "it tells the key");
  store::file::is_state_file(store::Kind::lock, text);
  store::file::key_in_name(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::bytes(data, size);
  numbers(text);
  durations(text);
  texts(text);
  file_names(text);
  return 0;
}

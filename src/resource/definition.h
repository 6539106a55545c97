#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "util/time.h"

namespace cachify::resource {

// What all callers of one key have to agree on.
struct Definition {
  std::vector<std::string> names;  // --from: what there is; empty where it is made
  std::string create;              // shell text that makes one and prints its handle
  int64_t min = 0;                 // made ones: so many are kept,
  int64_t max = 1;                 // and never more
  std::optional<util::Duration> max_life;
  std::string check;    // shell text; empty: none
  std::string destroy;  // shell text; empty: none

  bool fixed() const noexcept { return create.empty(); }
};

// The options of one call, or the entries of one [resource.KEY]: what was not given is empty.
struct DefinitionParts {
  std::optional<std::vector<std::string>> names;
  std::optional<std::string> create;
  std::optional<std::string> check;
  std::optional<std::string> destroy;
  std::optional<int64_t> min;
  std::optional<int64_t> max;
  std::optional<util::Duration> max_life;
  std::optional<util::Duration> create_timeout;
};

// `line` over `file`, option by option. A line that says where resources come from leaves nothing
// of the file but what belongs to that, too: --from takes no `max-life` over.
DefinitionParts merged(const DefinitionParts& line, const DefinitionParts& file);

// The parts as a whole; nullopt where they say nothing about where resources come from. Throws
// UsageError for what does not go together.
std::optional<Definition> complete(const DefinitionParts& parts);

// "a,b,c". nullopt: an empty name, one that is there twice, or one that no line can hold.
std::optional<std::vector<std::string>> parse_names(const std::string& list);
inline constexpr const char* kNamesForm = "different names with commas between, such as a,b,c";

bool are_names(const std::vector<std::string>& names);

// Something that a shell can run: nothing but blanks would succeed, and NUL cannot be passed.
bool is_shell_text(const std::string& text) noexcept;

// A handle or a name: what can stand in a line of CACHIFY_RESOURCE.
bool is_handle(const std::string& text) noexcept;
inline constexpr size_t kLongestHandle = 4096;

// What differs, for the caller with `mine`: "--max 4 here, --max 2 there"; empty: nothing does. The
// order of names means nothing.
std::string difference(const Definition& mine, const Definition& theirs);

}  // namespace cachify::resource

#include "resource/definition.h"

#include <algorithm>
#include <set>

#include "errors.h"
#include "util/text.h"

namespace cachify::resource {

namespace {

std::set<std::string> set_of(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + name;
  return list;
}

std::string life_text(const std::optional<util::Duration>& life) {
  if (!life) return {};
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(*life).count()) +
         "ms";
}

void refuse_with_names(const DefinitionParts& parts) {
  const char* wrong = parts.create     ? "--create"
                      : parts.min      ? "--min"
                      : parts.max      ? "--max"
                      : parts.max_life ? "--max-life"
                                       : nullptr;
  if (wrong == nullptr) return;
  throw UsageError(std::string(wrong) +
                   " does not go with --from, whose names are all there is; give one of the two");
}

}  // namespace

DefinitionParts merged(const DefinitionParts& line, const DefinitionParts& file) {
  DefinitionParts below = file;
  if (line.names) {
    below.create.reset();
    below.min.reset();
    below.max.reset();
    below.max_life.reset();
  } else if (line.create) {
    below.names.reset();
  }
  const auto over = [](auto& target, const auto& value) {
    if (value) target = value;
  };
  over(below.names, line.names);
  over(below.create, line.create);
  over(below.check, line.check);
  over(below.destroy, line.destroy);
  over(below.min, line.min);
  over(below.max, line.max);
  over(below.max_life, line.max_life);
  over(below.create_timeout, line.create_timeout);
  return below;
}

std::optional<Definition> complete(const DefinitionParts& parts) {
  if (parts.names) refuse_with_names(parts);
  if (!parts.names && !parts.create) {
    const char* alone = parts.min        ? "--min"
                        : parts.max      ? "--max"
                        : parts.max_life ? "--max-life"
                        : parts.check    ? "--check"
                        : parts.destroy  ? "--destroy"
                                         : nullptr;
    if (alone == nullptr) return std::nullopt;
    throw UsageError(std::string(alone) + " needs --from or --create beside it");
  }
  Definition result;
  if (parts.names) result.names = *parts.names;
  if (parts.create) result.create = *parts.create;
  result.check = parts.check.value_or("");
  result.destroy = parts.destroy.value_or("");
  result.max_life = parts.max_life;
  result.min = parts.min.value_or(0);
  result.max = parts.max.value_or(std::max<int64_t>(result.min, 1));
  if (result.min > result.max)
    throw UsageError("--min must be at most --max, " + std::to_string(result.max));
  return result;
}

bool is_handle(const std::string& text) noexcept {
  return text.find_first_not_of(" \t\r") != std::string::npos && text.size() <= kLongestHandle &&
         text.find('\n') == std::string::npos && text.find('\0') == std::string::npos;
}

bool is_shell_text(const std::string& text) noexcept {
  return text.find_first_not_of(" \t\n") != std::string::npos &&
         text.find('\0') == std::string::npos;
}

bool are_names(const std::vector<std::string>& names) {
  return !names.empty() && std::all_of(names.begin(), names.end(), is_handle) &&
         set_of(names).size() == names.size();
}

std::optional<std::vector<std::string>> parse_names(const std::string& list) {
  std::vector<std::string> names;
  for (size_t start = 0;;) {
    const size_t comma = list.find(',', start);
    names.push_back(list.substr(start, comma == std::string::npos ? comma : comma - start));
    if (comma == std::string::npos) break;
    start = comma + 1;
  }
  return are_names(names) ? std::optional(names) : std::nullopt;
}

std::string difference(const Definition& mine, const Definition& theirs) {
  const auto differ = [](const char* option, const std::string& here, const std::string& there) {
    const auto shown = [&](const std::string& value) {
      return value.empty() ? "no " + std::string(option)
                           : std::string(option) + " " + util::quoted(value);
    };
    return shown(here) + " here, " + shown(there) + " there";
  };
  if (set_of(mine.names) != set_of(theirs.names) || mine.fixed() != theirs.fixed()) {
    if (mine.fixed() && !theirs.fixed()) return differ("--create", "", theirs.create);
    return differ("--from", list_of(mine.names), list_of(theirs.names));
  }
  if (mine.create != theirs.create) return differ("--create", mine.create, theirs.create);
  if (!mine.fixed() && mine.min != theirs.min)
    return differ("--min", std::to_string(mine.min), std::to_string(theirs.min));
  if (!mine.fixed() && mine.max != theirs.max)
    return differ("--max", std::to_string(mine.max), std::to_string(theirs.max));
  if (life_text(mine.max_life) != life_text(theirs.max_life))
    return differ("--max-life", life_text(mine.max_life), life_text(theirs.max_life));
  if (mine.check != theirs.check) return differ("--check", mine.check, theirs.check);
  if (mine.destroy != theirs.destroy) return differ("--destroy", mine.destroy, theirs.destroy);
  return {};
}

}  // namespace cachify::resource

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "map/format.h"

namespace cachify::map {

// COMMAND with its placeholders: `{}` the item, `{#}` its number, `{%}` the slot; `{1}`, `{2}`...
// where items have columns, `{name}` where the header or a JSON object names fields. Everything
// else in braces is left as it is. The item is appended when no placeholder stands there. What is
// filled in is not looked at again.
class Template {
 public:
  // `names`: of the header. With JSON lines every `{name}` that looks like one is a placeholder.
  Template(const std::vector<std::string>& command, const Format& format,
           const std::vector<std::string>& names);

  // Missing columns and fields are empty.
  std::vector<std::string> fill(const std::string& item, uint64_t number, int64_t slot,
                                const Row& row) const;

  // The program itself depends on the item.
  bool program_varies() const { return program_varies_; }

 private:
  enum class Kind { text, item, number, slot, column, field };
  struct Piece {
    Kind kind = Kind::text;
    std::string text;   // or the field's name
    size_t column = 0;  // from 0
  };
  using Word = std::vector<Piece>;

  bool recognise(std::string_view inside, const Format& format,
                 const std::vector<std::string>& names, Piece& piece) const;

  std::vector<Word> words_;
  bool program_varies_ = false;
};

// As a shell would need it written; control characters as $'...', so that it is always one line.
std::string shell_quoted(const std::string& word);
std::string shell_quoted(const std::vector<std::string>& words);

}  // namespace cachify::map

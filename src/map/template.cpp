#include "map/template.h"

#include <algorithm>

#include "util/parse.h"

namespace cachify::map {

namespace {

constexpr int64_t kMostColumns = 1'000'000;

bool looks_like_name(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

}  // namespace

bool Template::recognise(std::string_view inside, const Format& format,
                         const std::vector<std::string>& names, Piece& piece) const {
  if (inside.empty()) {
    piece.kind = Kind::item;
  } else if (inside == "#") {
    piece.kind = Kind::number;
  } else if (inside == "%") {
    piece.kind = Kind::slot;
  } else if (std::find(names.begin(), names.end(), inside) != names.end() ||
             (format.json_lines && names.empty() && looks_like_name(inside))) {
    piece.kind = Kind::field;
    piece.text = inside;
  } else if (format.has_columns()) {
    const auto column = util::parse_integer(inside, 1, kMostColumns);
    if (!column || inside.front() == '0') return false;
    piece.kind = Kind::column;
    piece.column = static_cast<size_t>(*column) - 1;
  } else {
    return false;
  }
  return true;
}

Template::Template(const std::vector<std::string>& command, const Format& format,
                   const std::vector<std::string>& names) {
  bool any = false;
  for (const std::string& text : command) {
    Word word;
    Piece literal;
    for (size_t i = 0; i < text.size(); ++i) {
      const size_t close = text[i] == '{' ? text.find_first_of("{}", i + 1) : std::string::npos;
      Piece piece;
      if (close == std::string::npos || text[close] == '{' ||
          !recognise(std::string_view(text).substr(i + 1, close - i - 1), format, names, piece)) {
        literal.text += text[i];
        continue;
      }
      any = true;
      if (words_.empty()) program_varies_ = true;
      if (!literal.text.empty()) word.push_back(std::exchange(literal, {}));
      word.push_back(std::move(piece));
      i = close;
    }
    if (!literal.text.empty()) word.push_back(std::move(literal));
    words_.push_back(std::move(word));
  }
  if (!any) words_.push_back({Piece{Kind::item, {}, 0}});
}

std::vector<std::string> Template::fill(const std::string& item, uint64_t number, int64_t slot,
                                        const Row& row) const {
  std::vector<std::string> argv;
  argv.reserve(words_.size());
  for (const Word& word : words_) {
    std::string& text = argv.emplace_back();
    for (const Piece& piece : word) {
      switch (piece.kind) {
        case Kind::text:
          text += piece.text;
          break;
        case Kind::item:
          text += item;
          break;
        case Kind::number:
          text += std::to_string(number);
          break;
        case Kind::slot:
          text += std::to_string(slot);
          break;
        case Kind::column:
          if (piece.column < row.columns.size()) text += row.columns[piece.column];
          break;
        case Kind::field:
          if (const std::string* value = row.field(piece.text)) text += *value;
          break;
      }
    }
  }
  return argv;
}

std::string shell_quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  const bool control = std::any_of(word.begin(), word.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  std::string text = control ? "$'" : "'";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (!control) {
      if (c == '\'') {
        text += "'\\''";
      } else {
        text += c;
      }
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      constexpr std::string_view kHex = "0123456789abcdef";
      text += "\\x";
      text += kHex[byte >> 4U];
      text += kHex[byte & 15U];
    } else {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
  }
  return text + "'";
}

std::string shell_quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (&word != &words.front()) text += ' ';
    text += shell_quoted(word);
  }
  return text;
}

}  // namespace cachify::map

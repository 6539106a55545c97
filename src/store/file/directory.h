#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"
#include "util/unique_fd.h"

namespace cachify::store::file {

// The directory of a file store, open. Every file in it is reached through the descriptor, so
// that a directory renamed or replaced meanwhile cannot split one store in two.
class Directory {
 public:
  // `path` empty: the default, /run/lock/cachify-UID, else /tmp/cachify-UID, made with mode 0700
  // when missing; a symbolic link, another owner or a directory that others may write to ends in
  // ConfigError. A named directory is made when its parent exists. StoreError when it cannot be
  // used otherwise.
  static Directory open(const std::string& path);

  // Goes on with a directory that was opened, and checked, elsewhere.
  static Directory adopt(util::UniqueFd fd, std::string path);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  mode_t file_mode() const { return file_mode_; }

 private:
  util::UniqueFd fd_;
  std::string path_;
  mode_t file_mode_ = 0666;  // of new files, before the umask
};

// The file's name for a key: kind, dot, and the prefixed key with every byte but letters, digits,
// `.`, `_` and `-` as %XX, so that different keys never share a name. A name that would be too long
// ends in `~h` and a 128-bit hash instead; the file then holds the key itself for comparison.
struct FileName {
  std::string name;
  bool hashed = false;
};
FileName file_name(Kind kind, const std::string& prefixed_key);

// Whether a file of this name would be some key's state file, and no shard or anything else.
bool is_state_file(Kind kind, std::string_view name);
bool is_state_file(std::string_view name);  // of any kind
// The prefixed key that the name of a state file stands for; nullopt for one with a hash.
std::optional<std::string> key_in_name(std::string_view name);

// The names in a directory, in no order. Throws StoreError.
std::vector<std::string> names_in(const Directory& directory);

}  // namespace cachify::store::file

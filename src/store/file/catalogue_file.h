#pragma once

#include <string>

#include "store/file/directory.h"

namespace cachify::store::file {

// The catalogue of a resource: a text in a file beside the state file, NAME~c. It changes only
// under the key's mutex and as a whole (a new file is renamed over it), so that whoever is killed
// on the way leaves the old text or the new one. A state file whose catalogue has a text keeps a
// stored cap, which keeps it from being deleted.
class CatalogueFile {
 public:
  // `directory` must live as long as this. `state_file` is the name of the state file.
  CatalogueFile(const Directory& directory, const std::string& state_file);

  // Empty: there is none. Both throw StoreError.
  std::string read() const;
  void write(const std::string& text) const;

 private:
  [[noreturn]] void fail(const char* doing) const;

  const Directory& directory_;
  std::string name_;
};

}  // namespace cachify::store::file

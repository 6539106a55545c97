#include "store/file/file_store.h"

#include "errors.h"
#include "store/file/admission.h"
#include "store/file/directory.h"
#include "store/file/picture.h"
#include "store/file/state_file.h"

namespace cachify::store {

namespace {

using file::Directory;
using file::StateFile;

std::string directory_of(const std::string& url) {
  std::string path = url.substr(url.find(':') + 1);
  if (path.rfind("//", 0) == 0) {
    path.erase(0, 2);
    if (path.empty() || path.front() != '/') {
      throw UsageError("'" + url + "' names a host; write file:DIR or file:///DIR");
    }
  }
  return path;
}

class FileStore : public Store {
 public:
  explicit FileStore(const OpenOptions& options)
      : directory_(Directory::open(directory_of(options.url))), prefix_(options.prefix) {}

  Acquisition acquire(const Claim& claim, const Patience& patience, run::Interrupts& interrupts,
                      WaitObserver& observer) override {
    return file::Admission(directory_, prefix_ + claim.key, claim, patience, interrupts, observer)
        .run();
  }

  int64_t size(Kind kind, const std::string& key) override {
    StateFile state(directory_, kind, prefix_ + key);
    if (state.lock(StateFile::Access::read_only, {}) != StateFile::Locking::locked) return 0;
    file::Table& table = state.table();
    table.drop_expired(util::boottime_ns());
    table.drop_dead_holders(state);
    return static_cast<int64_t>(table.used());
  }

  Situation situation(Kind kind, const std::string& key) override {
    StateFile state(directory_, kind, prefix_ + key);
    if (state.lock(StateFile::Access::read_only, {}) != StateFile::Locking::locked) return {};
    return file::picture_of(state, std::nullopt);
  }

 private:
  Directory directory_;
  std::string prefix_;
};

}  // namespace

std::unique_ptr<Store> open_file_store(const OpenOptions& options) {
  return std::make_unique<FileStore>(options);
}

}  // namespace cachify::store

#include "contract/stores.h"

#include <cstdlib>
#include <filesystem>

#include "store/registry.h"

namespace cachify::test {
namespace {

class FileFixture : public StoreFixture {
 public:
  FileFixture() {
    char pattern[] = "/tmp/cachify-contract-XXXXXX";
    directory_ = ::mkdtemp(pattern);
  }
  ~FileFixture() override { std::filesystem::remove_all(directory_); }
  FileFixture(const FileFixture&) = delete;
  FileFixture& operator=(const FileFixture&) = delete;

  const char* name() const override { return "file"; }
  std::unique_ptr<store::Store> open() const override {
    return store::open({.url = "file:" + directory_, .prefix = "test:"});
  }
  util::Duration until_crash_is_noticed() const override { return {}; }

 private:
  std::string directory_;
};

}  // namespace

std::vector<std::unique_ptr<StoreFixture>> store_fixtures() {
  std::vector<std::unique_ptr<StoreFixture>> fixtures;
  fixtures.push_back(std::make_unique<FileFixture>());
  return fixtures;
}

}  // namespace cachify::test

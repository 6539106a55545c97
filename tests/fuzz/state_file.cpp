// Whatever stands in a state file, a caller gets an answer or "cannot tell", and leaves a file that
// is sound. The first byte says what is put right beforehand, as checksums are not found by chance.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "errors.h"
#include "fuzz.h"
#include "run/interrupts.h"
#include "store/file/directory.h"
#include "store/file/layout.h"
#include "store/registry.h"
#include "util/unique_fd.h"

using namespace cachify;
namespace layout = store::file;

namespace {

constexpr uint8_t kSeal = 1;        // magic, checksums, and a number drawn that is high enough
constexpr uint8_t kLongEnough = 2;  // as long as the number of entries asks for
constexpr uint8_t kHashedName = 4;

void seal(std::string& file) {
  if (file.size() < sizeof(layout::Header)) file.resize(sizeof(layout::Header));
  layout::Header header;
  std::memcpy(&header, file.data(), sizeof header);
  header.magic = layout::kMagic;
  header.next |= 1ULL << 40U;
  header.high_water %= 200;
  const size_t needed = layout::entry_offset(header.high_water) + sizeof(layout::Entry);
  if (file.size() < needed) file.resize(needed);
  std::vector<layout::Entry> first(layout::kFirstEntries);
  for (uint32_t i = 0; i < header.high_water; ++i) {
    layout::Entry entry;
    std::memcpy(&entry, &file[layout::entry_offset(i)], sizeof entry);
    if (entry.state != layout::EntryState::free) {
      entry.state = static_cast<layout::EntryState>(static_cast<uint8_t>(entry.state) % 5);
      entry.primary %= header.high_water;
      entry.ticket &= (1ULL << 40U) - 1;
      entry.checksum = layout::checksum_of(entry);
    }
    std::memcpy(&file[layout::entry_offset(i)], &entry, sizeof entry);
    if (i < layout::kFirstEntries) first[i] = entry;
  }
  header.checksum = layout::checksum_of(header, first.data());
  std::memcpy(file.data(), &header, sizeof header);
}

void lengthen(std::string& file) {
  if (file.size() < sizeof(layout::Header)) return;
  layout::Header header;
  std::memcpy(&header, file.data(), sizeof header);
  const size_t needed = layout::file_bytes(header.high_water % 200);
  if (file.size() < needed) file.resize(needed);
}

const std::string kLongKey(300, 'x');

class World {
 public:
  explicit World(bool hashed)
      : key_(hashed ? kLongKey : "k"),
        name_(scratch_.path() + "/" + layout::file_name(store::Kind::pool, key_).name),
        store_(store::open({.url = "file:" + scratch_.path(), .prefix = ""})) {
    // Makes the file.
    answer([&] { acquire(1); });
  }

  void write(const std::string& content) {
    const util::UniqueFd fd(::open(name_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    const ssize_t written = ::pwrite(fd.get(), content.data(), content.size(), 0);
    fuzz::require(written == static_cast<ssize_t>(content.size()), "a file can be written");
  }

  void use() {
    answer([&] {
      const store::Situation now = store_->situation(store::Kind::pool, key_);
      for (const auto& holder : now.holders)
        fuzz::require(!holder.id.empty(), "a holder has an id");
    });
    answer([&] { store_->size(store::Kind::pool, key_); });
    answer([&] { store_->list(store::Kind::pool); });
    answer([&] { store_->resize(store::Kind::pool, key_, 3); });
    answer([&] { store_->terminate(store::Kind::pool, key_, std::nullopt, std::nullopt); });
    answer([&] { store_->dismiss(store::Kind::pool, key_); });
    answer([&] { acquire(2); });
    answer([&] { store_->give_back(store::Kind::pool, key_, std::nullopt); });
    answer([&] { store_->set_closed(store::Kind::pool, key_, false); });
    // Nobody is alive, so whatever it was, the next one is admitted or the file is named as bad.
    // After the next one, rather: pieces of a holder that cannot have been are dropped only then.
    answer([&] { acquire(1); });
    answer([&] { fuzz::require(acquire(1) == store::Outcome::admitted, "nobody is in the way"); });
  }

 private:
  // "Cannot tell" is an answer; any other exception is not.
  template <typename Function>
  static void answer(const Function& function) {
    try {
      function();
    } catch (const StoreError& e) {
      std::fprintf(stderr, "%s\n", e.what());
    }
  }

  store::Outcome acquire(int64_t weight) {
    run::Interrupts interrupts;
    store::WaitObserver observer;
    store::Claim claim;
    claim.key = key_;
    claim.max = 4;
    claim.weight = weight;
    const store::Acquisition got = store_->acquire(claim, {}, interrupts, observer);
    if (got.lease) {
      const store::Grant& grant = got.lease->grant();
      fuzz::require(grant.slot >= 0 && grant.slot < got.max, "a slot is one");
      got.lease->command_started();
      got.lease->release();
    }
    return got.outcome;
  }

  fuzz::Scratch scratch_;
  std::string key_;
  std::string name_;
  std::unique_ptr<store::Store> store_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static World plain(false), hashed(true);
  const uint8_t how = data[0];
  std::string content(fuzz::bytes(data + 1, size - 1));
  if ((how & kSeal) != 0) seal(content);
  if ((how & kLongEnough) != 0) lengthen(content);
  World& world = (how & kHashedName) != 0 ? hashed : plain;
  world.write(content);
  world.use();
  return 0;
}

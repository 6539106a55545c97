#include "store/file/file_store.h"

#include <limits>
#include <utility>

#include "errors.h"
#include "quick/handover.h"
#include "store/file/admission.h"
#include "store/file/directory.h"
#include "store/file/examine.h"
#include "store/file/lease.h"
#include "store/file/look.h"
#include "store/file/maps_file.h"
#include "store/file/picture.h"
#include "store/file/state_file.h"
#include "store/file/steering.h"

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
      : directory_(open_directory(directory_of(options.url))),
        prefix_(options.prefix),
        url_(options.url) {}

  Acquisition acquire(const Claim& claim, const Patience& patience, run::Interrupts& interrupts,
                      WaitObserver& observer) override {
    if (std::exchange(quick::handover.admitted, false)) return quick_acquisition(claim, interrupts);
    // The time to wait began when the quick start came to wait.
    Patience rest = patience;
    if (quick::handover.waiting && rest.deadline) {
      rest.deadline->ns -= util::monotonic_now().ns - quick::handover.arrived_ns;
    }
    file::Admission admission(directory_, prefix_ + claim.key, claim, rest, interrupts, observer);
    if (!std::exchange(quick::handover.waiting, false)) return admission.run();
    const quick::Handover& done = quick::handover;
    return admission.go_on({util::UniqueFd(done.control_fd),
                            quick_fd(done.shard_fd),
                            quick_fd(done.hold_fd),
                            done.index,
                            done.ticket,
                            {done.arrived_ns}});
  }

  int64_t size(Kind kind, const std::string& key) override {
    StateFile state(directory_, kind, prefix_ + key);
    if (state.lock(StateFile::Access::read_only, {}) != StateFile::Locking::locked) return 0;
    file::Table& table = state.table();
    table.drop_expired(util::boottime_ns());
    table.drop_dead_holders(state);
    return static_cast<int64_t>(table.used());
  }

  std::string shown_url() const override { return url_; }

  Situation situation(Kind kind, const std::string& key) override {
    return file::situation(directory_, kind, prefix_ + key);
  }
  std::vector<KeySummary> list(Kind kind) override { return file::list(directory_, kind, prefix_); }
  std::vector<Finding> examine() override { return file::examine(directory_); }
  bool wait_until(Kind kind, const std::string& key,
                  const std::function<bool(const Situation&)>& enough,
                  const std::optional<util::MonotonicTime>& deadline,
                  run::Interrupts& interrupts) override {
    return file::wait_until(directory_, kind, prefix_ + key, enough, deadline, interrupts);
  }

  void resize(Kind kind, const std::string& key, std::optional<int64_t> max) override {
    if (kind == Kind::lock) refuse("store a cap for a lock, which has one slot");
    constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
    if (max && (*max < 1 || *max > kMost)) refuse("store a cap of " + std::to_string(*max));
    steering(kind, key).resize(max ? std::optional(static_cast<uint32_t>(*max)) : std::nullopt);
  }
  void set_closed(Kind kind, const std::string& key, bool closed) override {
    steering(kind, key).set_closed(closed);
  }
  int64_t dismiss(Kind kind, const std::string& key) override {
    return steering(kind, key).dismiss();
  }
  int64_t give_back(Kind kind, const std::string& key,
                    const std::optional<std::string>& id) override {
    return steering(kind, key).give_back(id);
  }
  std::vector<std::string> terminate(Kind kind, const std::string& key,
                                     const std::optional<std::string>& id,
                                     std::optional<util::Duration> kill_after) override {
    return steering(kind, key).terminate(id, kill_after);
  }

  CatalogueView catalogue(const std::string& key) override {
    return steering(Kind::resource, key).catalogue();
  }
  void update_catalogue(const std::string& key, const ChangeCatalogue& change,
                        run::Interrupts* interrupts) override {
    steering(Kind::resource, key).update_catalogue(change, interrupts);
  }
  std::unique_ptr<MapRecord> show_map(const std::string& key, const Who& who) override {
    return file::show_map(directory_, prefix_ + key, who);
  }
  std::string work_directory() const override { return directory_.path(); }

 private:
  file::Steering steering(Kind kind, const std::string& key) {
    return {directory_, kind, prefix_ + key, key};
  }

  static Directory open_directory(const std::string& path) {
    if (!quick::handover.admitted && !quick::handover.waiting) return Directory::open(path);
    return Directory::adopt(util::UniqueFd(quick::handover.directory_fd), path);
  }

  // 0 stands for none.
  static util::UniqueFd quick_fd(int fd) { return fd > 0 ? util::UniqueFd(fd) : util::UniqueFd(); }

  // What Admission::admit() would have left, had it done what the quick start has done.
  Acquisition quick_acquisition(const Claim& claim, run::Interrupts& interrupts) {
    const quick::Handover& done = quick::handover;
    auto state = std::make_unique<StateFile>(directory_, claim.kind, prefix_ + claim.key);
    state->adopt(util::UniqueFd(done.control_fd), quick_fd(done.shard_fd));
    state->pin(done.index);
    file::Bell bell;
    if (claim.kind != Kind::lock && bell.map(state->fd(), state->status())) bell.ring_at_death();
    Acquisition result;
    result.outcome = Outcome::admitted;
    result.max = claim.max;
    result.waited = util::Duration(done.waited_ns);
    Grant grant{file::id_of(done.ticket), done.fence, done.slot, claim.max};
    file::Entry entry{};
    entry.ticket = done.ticket;
    result.lease = std::make_unique<file::FileLease>(interrupts, std::move(state), std::move(bell),
                                                     util::UniqueFd(done.hold_fd), done.index,
                                                     entry, std::move(grant), claim.inherit);
    return result;
  }

  Directory directory_;
  std::string prefix_;
  std::string url_;
};

}  // namespace

std::unique_ptr<Store> open_file_store(const OpenOptions& options) {
  return std::make_unique<FileStore>(options);
}

}  // namespace cachify::store

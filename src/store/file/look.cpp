#include "store/file/look.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "store/file/file_watch.h"
#include "store/file/layout.h"
#include "store/file/maps_file.h"
#include "store/file/picture.h"
#include "store/file/state_file.h"
#include "util/files.h"

namespace cachify::store::file {

namespace {

constexpr int kLookFlags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

using std::chrono::milliseconds;

// A death changes no file, so who waits for a situation looks again after this long.
constexpr util::Duration kHeartbeat = milliseconds(250);
// And not more often than this, however busy the key is.
constexpr util::Duration kPause = milliseconds(5);

// What a look without the mutex tells of most of the files of a directory: nobody uses the key and
// nothing is stored. Sound, as the checksum covers all that it goes by.
bool is_idle(const Directory& directory, const std::string& name) {
  const util::UniqueFd fd = util::open_above_stdio(directory.fd(), name.c_str(), kLookFlags);
  Header header{};
  return fd && util::read_at(fd.get(), &header, sizeof header, 0) == sizeof header &&
         header.magic == kMagic && header.high_water == 0 && header.stored_max == 0 &&
         header.closed == 0 && header.checksum == checksum_of(header, nullptr);
}

}  // namespace

Situation situation(const Directory& directory, Kind kind, const std::string& prefixed_key) {
  StateFile state(directory, kind, prefixed_key);
  Situation now;
  if (state.lock(StateFile::Access::read_only, {}) == StateFile::Locking::locked) {
    now = picture_of(state, std::nullopt);
    state.unlock();
  }
  if (kind == Kind::pool) now.maps = maps_of(directory, prefixed_key);
  return now;
}

std::optional<std::string> key_of(const Directory& directory, const std::string& name) {
  if (auto key = key_in_name(name)) return key;
  const util::UniqueFd fd = util::open_above_stdio(directory.fd(), name.c_str(), kLookFlags);
  std::string text(kPage, '\0');
  if (!fd || util::read_at(fd.get(), text.data(), text.size(), kKeyTextOffset) < 0) {
    return std::nullopt;
  }
  text.resize(std::strlen(text.c_str()));
  return text;
}

std::vector<KeySummary> list(const Directory& directory, Kind kind, const std::string& prefix) {
  std::vector<KeySummary> keys;
  for (const std::string& name : names_in(directory)) {
    if (!is_state_file(kind, name)) continue;
    const std::optional<std::string> in_name = key_in_name(name);
    if ((in_name && in_name->rfind(prefix, 0) != 0) || is_idle(directory, name)) continue;
    const std::optional<std::string> key = in_name ? in_name : key_of(directory, name);
    // Gone; of another prefix; or a file that somebody else has put there.
    if (!key || key->rfind(prefix, 0) != 0 || file_name(kind, *key).name != name) continue;
    StateFile state(directory, kind, *key);
    if (state.lock(StateFile::Access::read_only, {}) != StateFile::Locking::locked) continue;
    KeySummary summary = summary_of(state);
    if (summary.size == 0 && summary.waiting == 0 && !summary.stored && !summary.closed) continue;
    summary.key = key->substr(prefix.size());
    keys.push_back(std::move(summary));
  }
  std::sort(keys.begin(), keys.end(),
            [](const KeySummary& a, const KeySummary& b) { return a.key < b.key; });
  return keys;
}

bool wait_until(const Directory& directory, Kind kind, const std::string& prefixed_key,
                const std::function<bool(const Situation&)>& enough,
                const std::optional<util::MonotonicTime>& deadline, run::Interrupts& interrupts) {
  FileWatch watch;
  const StateFile::Wait wait{&interrupts, deadline, /*until_signal=*/true};
  for (;;) {
    // Opened anew each time: the file may have been deleted and made again.
    StateFile state(directory, kind, prefixed_key);
    const StateFile::Locking locking = state.lock(StateFile::Access::read_only, wait);
    if (locking == StateFile::Locking::given_up || interrupts.caught()) return false;
    Situation now;
    if (locking == StateFile::Locking::locked) now = picture_of(state, std::nullopt);
    state.unlock();
    if (kind == Kind::pool) now.maps = maps_of(directory, prefixed_key);
    if (enough(now)) return true;
    const util::MonotonicTime looked = util::monotonic_now();
    if (deadline && looked >= *deadline) return false;

    util::MonotonicTime until = looked + kHeartbeat;
    for (const HolderInfo& holder : now.holders) {
      if (!holder.expires_in_ms) continue;
      until = std::min(until, looked + milliseconds(*holder.expires_in_ms + 1));
    }
    if (deadline) until = std::min(until, *deadline);
    // A watch that was just set says nothing of what came before it.
    const bool watched = watch.add(state.path_of_shard(0));
    if (watch.fresh()) continue;
    sleep_until(std::min(until, looked + kPause), interrupts.wait_mask());
    if (interrupts.caught()) return false;
    if (watched) {
      watch.sleep(until, interrupts.wait_mask());
    } else {
      sleep_until(until, interrupts.wait_mask());
    }
  }
}

}  // namespace cachify::store::file

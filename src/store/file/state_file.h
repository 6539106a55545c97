#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"
#include "run/interrupts.h"
#include "store/file/directory.h"
#include "store/file/table.h"
#include "util/time.h"
#include "util/unique_fd.h"

namespace cachify::store::file {

// The state file of one key: its mutex, its bytes and its lock bytes, through the control
// description (PROTOCOL.md, "kernel objects"), which never outlives the process.
class StateFile : public Liveness {
 public:
  // `directory` must live as long as this.
  StateFile(const Directory& directory, Kind kind, std::string prefixed_key);

  enum class Access { create, existing, read_only };
  enum class Locking {
    locked,
    no_such_key,  // not with Access::create
    given_up,     // a signal or `until` ended the wait
  };
  // How long to wait for the mutex. It is held for microseconds, unless its holder is stopped:
  // without `until` a caller gives up with StoreError after 10 s.
  struct Wait {
    run::Interrupts* interrupts = nullptr;  // the process' own, when there is one
    std::optional<util::MonotonicTime> until = std::nullopt;
    bool until_signal = false;  // give up as soon as `interrupts` reports one
  };

  // Opens the file when it is not open, takes the mutex (shared for read_only) and reads the table.
  // A file that was unlinked meanwhile is opened anew; `reopened` then tells who had an entry that
  // it is gone. A missing or empty file is initialised (create). One that is damaged is a
  // StoreError: no death of a caller damages it, so somebody has to look what became of the stored
  // cap and the holders. But what a power cut has left is initialised, as nobody can depend on it.
  //
  // With `first_only` just the header and the first entries are read, for a release, whose cost
  // must not grow with the table: then only clear_alone() may follow.
  Locking lock(Access access, Wait wait, bool first_only = false);
  bool reopened() const { return reopened_; }
  void unlock();

  // Goes on with control descriptions that were opened elsewhere: the file's own, and that of the
  // first shard if there is one.
  void adopt(util::UniqueFd control, util::UniqueFd first_shard);

  Table& table() { return table_; }
  // Writes what changed in the table. The mutex must be held.
  void commit();

  // An entry of a table that was read with `first_only`, from wherever it is.
  Entry entry_alone(uint32_t index);
  // Writes the header, and a free entry in place of the one at `index`, and nothing else.
  void clear_alone(uint32_t index);

  // An entry as it is now, without the mutex: for its owner, as nobody else's change can tear it.
  // Free when the owner has it no more; nullopt when it cannot be told.
  std::optional<Entry> peek(uint32_t index) const;

  void write_info(uint32_t index, const Info& info);
  Info read_info(uint32_t index);
  // Of all entries, with a read for each block of them.
  std::vector<Info> read_infos();

  // The control description of an entry's shard, opened (and made) when needed. An entry that this
  // process has must be pinned, so that its description is never closed for want of descriptors.
  int shard(uint32_t index);
  void pin(uint32_t index) { pinned_shard_ = shard_of(index); }
  // A new description of the entry's shard, for the hold byte.
  util::UniqueFd open_hold(uint32_t index);

  bool waits(uint32_t index, uint64_t ticket) override;
  bool lives(uint32_t index, uint64_t ticket) override;
  bool holds(uint32_t index, uint64_t ticket) override;

  const std::string& key() const { return key_; }
  const std::string& name() const { return name_.name; }
  int fd() const { return control_.get(); }
  const struct stat& status() const { return status_; }  // as lock() or adopt() found it
  std::string path_of_shard(uint32_t index) const;

 private:
  bool open(Access access);
  void tidy_up_now_and_then();
  bool take_mutex(int operation, Wait wait);
  void read(bool first_only);
  void write_first(size_t entries);
  void initialise();
  bool entries_are_sound() const;
  StoreError bad(const std::string& what_is_wrong, const char* what_to_do) const;
  bool is_from_before_boot() const;
  void refuse_damaged(const char* what_is_wrong);
  void start_again_if_nobody_lives(const char* what_is_wrong);
  void check_key_text();
  int existing_shard(uint32_t number);
  void make_shard(uint32_t number);
  std::string shard_name(uint32_t number) const;
  [[noreturn]] void fail(const char* doing) const;

  const Directory& directory_;
  std::string key_;
  FileName name_;
  util::UniqueFd control_;
  std::vector<util::UniqueFd> shards_;  // by number, from 1
  uint32_t pinned_shard_ = 0;
  int mode_ = 0;  // O_RDONLY or O_RDWR
  struct stat status_ {};
  Table table_;
  bool locked_ = false;
  bool reopened_ = false;
};

}  // namespace cachify::store::file

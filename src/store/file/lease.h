#pragma once

#include <memory>

#include "store/file/bell.h"
#include "store/file/state_file.h"
#include "store/store.h"

namespace cachify::store::file {

// A held slot: the entry in the table, L(t) through the control description, H(t) through the
// hold description that the command inherits.
class FileLease : public Lease {
 public:
  // `interrupts` must outlive the lease. Of the entry only ticket and expiry count.
  FileLease(run::Interrupts& interrupts, std::unique_ptr<StateFile> state, Bell bell,
            util::UniqueFd hold, uint32_t index, const Entry& entry, Grant grant, bool inherit)
      : interrupts_(interrupts),
        state_(std::move(state)),
        bell_(std::move(bell)),
        hold_(std::move(hold)),
        index_(index),
        ticket_(entry.ticket),
        expires_(entry.expires),
        grant_(std::move(grant)),
        inherit_(inherit) {}

  // Without release(): the kernel's rules as after a crash, and a ring so that they are noticed.
  ~FileLease() override;

  const Grant& grant() const noexcept override { return grant_; }
  int keep_fd() const noexcept override { return inherit_ ? hold_.get() : -1; }
  // D5 was put off: W(t) goes as soon as the command runs. The next waiter has nothing to win
  // before (there is no room for it), and would only compete with the command for the processor.
  void keep_place() { keeps_place_ = true; }
  void has_extras() { contiguous_ = false; }
  void command_started() noexcept override { leave_place(); }
  // What others did to the slot (STEER). Takes no lock, so it cannot block.
  State tick() noexcept override;
  std::optional<util::Duration> kill_after() const noexcept override { return kill_after_; }
  void release() override;

 private:
  void leave_place() noexcept;
  bool give_back();

  run::Interrupts& interrupts_;
  std::unique_ptr<StateFile> state_;
  Bell bell_;
  util::UniqueFd hold_;
  uint32_t index_;
  uint64_t ticket_;
  int64_t expires_;
  Grant grant_;
  bool inherit_;
  bool released_ = false;
  bool told_ = false;  // that the slot was taken, or given back by somebody
  std::optional<util::Duration> kill_after_;
  bool keeps_place_ = false;  // W(t) is still ours
  bool contiguous_ = true;    // no extra entries
};

}  // namespace cachify::store::file

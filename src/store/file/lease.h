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
  // `interrupts` must outlive the lease.
  FileLease(run::Interrupts& interrupts, std::unique_ptr<StateFile> state, Bell bell,
            util::UniqueFd hold, uint32_t index, uint64_t ticket, Grant grant, bool inherit)
      : interrupts_(interrupts),
        state_(std::move(state)),
        bell_(std::move(bell)),
        hold_(std::move(hold)),
        index_(index),
        ticket_(ticket),
        grant_(std::move(grant)),
        inherit_(inherit) {}

  // Without release(): the kernel's rules as after a crash, and a ring so that they are noticed.
  ~FileLease() override;

  const Grant& grant() const noexcept override { return grant_; }
  int keep_fd() const noexcept override { return inherit_ ? hold_.get() : -1; }
  void release() override;

 private:
  bool give_back();

  run::Interrupts& interrupts_;
  std::unique_ptr<StateFile> state_;
  Bell bell_;
  util::UniqueFd hold_;
  uint32_t index_;
  uint64_t ticket_;
  Grant grant_;
  bool inherit_;
  bool released_ = false;
};

}  // namespace cachify::store::file

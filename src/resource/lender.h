#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "resource/errands.h"
#include "resource/ledger.h"
#include "run/run.h"
#include "store/store.h"

namespace cachify::resource {

// What one call asks for.
struct Wish {
  std::string key;
  std::optional<Definition> definition;  // nullopt: whatever the callers before have agreed on
  int64_t count = 1;
  util::Duration limit{};       // for each create, check and destroy
  util::Duration kill_after{};  // from its TERM to its KILL
};

// Gets the resources for one holder of slots, once it is one, and gives them back.
class Lender : public run::Escort {
 public:
  // `store` has to outlive it.
  Lender(store::Store& store, Wish wish);

  // Before the admission: agrees with the other callers on the definition. The N to ask for slots
  // with. Throws UsageError when they want something else, or when there can never be so many.
  int64_t agree();

  std::optional<std::vector<std::string>> prepare(store::Lease& lease,
                                                  run::Interrupts& interrupts) override;
  std::optional<util::MonotonicTime> attend() noexcept override;
  void give_back() noexcept override;
  void finish() noexcept override;

 private:
  Step take(util::MonotonicTime started);
  void check_agreement(Catalogue& catalogue, const Facts& facts) const;
  bool older_ones_are_unknown(const Catalogue& catalogue, const Facts& facts) const;
  bool lend(const Item& item);
  std::optional<Item> create(const Item& item);
  void destroy(const Item& item);
  [[noreturn]] void nothing_left(Step::Kind why) const;
  bool watch(Helper& helper);
  void pause(util::Duration time);
  void look_at_lease();
  void keep_lease();
  void refuse_without_lease() const;

  Wish wish_;
  Ledger ledger_;
  HelperRules rules_;
  Errands errands_;
  store::Lease* lease_ = nullptr;
  run::Interrupts* interrupts_ = nullptr;
  bool lease_gone_ = false;
  Definition definition_;  // as it was at our last look
  int64_t begun_us_ = 0;   // of the catalogue, then
  std::vector<std::string> lent_;
  std::set<uint64_t> tried_;
  int failures_ = 0;  // in a row
  bool ready_ = false;
  bool errands_due_ = false;
};

}  // namespace cachify::resource

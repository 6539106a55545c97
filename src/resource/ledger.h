#pragma once

#include <functional>
#include <string>

#include "resource/catalogue.h"
#include "resource/workshop.h"
#include "run/interrupts.h"
#include "store/store.h"

namespace cachify::resource {

// The catalogue of one key in its store: each change is settled first, and is done whole or not.
class Ledger {
 public:
  // `work_limit`: how long a piece of work may take that is begun here.
  Ledger(store::Store& store, std::string key, util::Duration work_limit);

  // `interrupts`: the process' own, where there is one; has to outlive the calls.
  void use(run::Interrupts* interrupts) noexcept { interrupts_ = interrupts; }

  // `change` may be called several times; the last call counts. Throws StoreError, and what
  // `change` throws.
  using Change = std::function<void(Catalogue&, const Facts&)>;
  void update(const Change& change);

  // The catalogue as it is, settled in memory only.
  Catalogue look(Facts& facts);

  Workshop& workshop() noexcept { return workshop_; }
  const std::string& key() const noexcept { return key_; }

 private:
  Facts facts_of(const store::CatalogueView& view);

  store::Store& store_;
  std::string key_;
  util::Duration work_limit_;
  Workshop workshop_;
  run::Interrupts* interrupts_ = nullptr;
};

}  // namespace cachify::resource

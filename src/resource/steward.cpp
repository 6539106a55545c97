#include "resource/steward.h"

#include <utility>

#include "errors.h"
#include "util/text.h"

namespace cachify::resource {

Steward::Steward(store::Store& store, std::string key, std::optional<Definition> definition,
                 util::Duration limit, util::Duration kill_after)
    : store_(store),
      definition_(std::move(definition)),
      ledger_(store, std::move(key), limit + kill_after),
      errands_(ledger_, {limit, kill_after, {"CACHIFY_KEY=" + ledger_.key()}}) {}

bool Steward::add(const std::string& name) {
  Catalogue::Addition addition = Catalogue::Addition::there;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    if (!catalogue.defined && definition_) catalogue.agree(definition_, facts);
    if (catalogue.closed())
      throw Error(kExitFull, ledger_.key() + " is being stopped; try again later");
    addition = catalogue.add(name, facts);
    if (addition == Catalogue::Addition::full) {
      throw UsageError(util::quoted(ledger_.key()) +
                       " has as many resources as its --max allows, " +
                       std::to_string(catalogue.definition.max) + "; remove one first");
    }
  });
  return addition == Catalogue::Addition::added;
}

Steward::Outcome Steward::carry_out(const Ledger::Change& change, Outcome& outcome,
                                    std::vector<Item>& to_destroy) {
  run::Interrupts interrupts;
  ledger_.use(&interrupts);
  Definition definition;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    to_destroy.clear();
    change(catalogue, facts);
    definition = catalogue.definition;
  });
  errands_.add(definition, to_destroy, interrupts);
  errands_.finish(interrupts);
  outcome.failed = errands_.failed();
  outcome.signal = interrupts.caught();
  ledger_.use(nullptr);
  return outcome;
}

Steward::Outcome Steward::remove(const std::string& name) {
  Outcome outcome;
  std::vector<Item> to_destroy;
  return carry_out(
      [&](Catalogue& catalogue, const Facts& facts) {
        outcome = {};
        if (!catalogue.defined && definition_) catalogue.agree(definition_, facts);
        const Catalogue::Removal removal = catalogue.remove(name, facts, to_destroy);
        if (removal != Catalogue::Removal::none) outcome.found = 1;
        if (removal == Catalogue::Removal::marked) outcome.later = 1;
      },
      outcome, to_destroy);
}

Steward::Outcome Steward::stop() {
  Outcome outcome;
  std::vector<Item> to_destroy;
  carry_out(
      [&](Catalogue& catalogue, const Facts& facts) {
        outcome = {};
        if (!catalogue.defined) return;
        outcome.found = static_cast<int64_t>(catalogue.items.size());
        outcome.later = catalogue.stop(facts, to_destroy);
      },
      outcome, to_destroy);
  // Who waits would have them all made again.
  store_.dismiss(store::Kind::resource, ledger_.key());
  return outcome;
}

}  // namespace cachify::resource

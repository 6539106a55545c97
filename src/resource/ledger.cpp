#include "resource/ledger.h"

#include <utility>

namespace cachify::resource {

namespace {

// Beyond its limit a command is ended; this is for the ending, and for clocks that differ.
constexpr util::Duration kGrace = std::chrono::seconds(60);

}  // namespace

Ledger::Ledger(store::Store& store, std::string key, util::Duration work_limit)
    : store_(store), key_(std::move(key)), work_limit_(work_limit), workshop_(store) {}

Facts Ledger::facts_of(const store::CatalogueView& view) {
  Facts facts;
  facts.now_us = view.now_us;
  facts.live = view.live;
  facts.waiting = view.waiting;
  facts.work_us = (work_limit_ + kGrace).count() / 1000;
  facts.works = &workshop_;
  return facts;
}

void Ledger::update(const Change& change) {
  std::vector<Work> over;
  store_.update_catalogue(
      key_,
      [&](const store::CatalogueView& view) -> std::optional<store::CatalogueChange> {
        workshop_.rewind();
        Catalogue catalogue = Catalogue::from_text(view.text, key_);
        const Facts facts = facts_of(view);
        over = catalogue.settle(facts);
        change(catalogue, facts);
        store::CatalogueChange result;
        result.text = catalogue.to_text();
        if (!result.text.empty()) {
          result.max = catalogue.cap();
          result.closed = catalogue.closed();
        }
        const bool same =
            result.text == view.text && result.max == view.max && result.closed == view.closed;
        return same ? std::nullopt : std::optional(result);
      },
      interrupts_);
  workshop_.commit();
  for (const Work& work : over) workshop_.discard(work);
}

Catalogue Ledger::look(Facts& facts) {
  const store::CatalogueView view = store_.catalogue(key_);
  Catalogue catalogue = Catalogue::from_text(view.text, key_);
  facts = facts_of(view);
  static_cast<void>(catalogue.settle(facts));
  return catalogue;
}

}  // namespace cachify::resource

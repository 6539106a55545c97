#include "resource/errands.h"

#include <poll.h>

#include <algorithm>

#include "errors.h"
#include "util/log.h"
#include "util/text.h"

namespace cachify::resource {

namespace {

Helper::Order order_for(const Item& item, const HelperRules& rules) {
  Helper::Order order;
  order.variables = rules.variables;
  order.variables.push_back("CACHIFY_SERIAL=" + std::to_string(item.number));
  if (!item.handle.empty()) order.variables.push_back("CACHIFY_RESOURCE=" + item.handle);
  order.limit = rules.limit;
  order.kill_after = rules.kill_after;
  return order;
}

}  // namespace

Helper::Order create_order(const Definition& definition, const Item& item, int output,
                           const HelperRules& rules) {
  Helper::Order order = order_for(item, rules);
  order.argv = {"sh", "-c", kCreateWrapper, "sh", definition.create};
  order.output = output;
  return order;
}

// A check or a destroy is repeated by the next caller, so it may end with this one.
Helper::Order check_order(const Definition& definition, const Item& item,
                          const HelperRules& rules) {
  Helper::Order order = order_for(item, rules);
  order.argv = shell_call(definition.check, {item.handle});
  order.dies_with_us = true;
  return order;
}

Helper::Order destroy_order(const Definition& definition, const Item& item,
                            const HelperRules& rules) {
  Helper::Order order = order_for(item, rules);
  order.argv = shell_call(definition.destroy, {item.handle});
  order.dies_with_us = true;
  return order;
}

std::string create_failure(const Helper& helper, const Made& made, bool fresh) {
  if (!fresh)
    return "--create printed " + util::quoted(made.handle) +
           ", which is there already; each handle has to be a new one";
  if (!helper.succeeded()) return "--create " + helper.failure();
  if (made.result == Made::Result::made) return {};
  return "--create did not print a handle: one line, and nothing else";
}

std::string destroy_failure(const Helper& helper, const Item& item) {
  if (helper.succeeded()) return {};
  return "--destroy of " + util::quoted(item.handle) + " " + helper.failure();
}

Errands::Errands(Ledger& ledger, HelperRules rules) : ledger_(ledger), rules_(std::move(rules)) {}

void Errands::plan(bool spares, const run::Interrupts& interrupts) {
  std::vector<Item> items;
  Definition definition;
  ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
    items = catalogue.errands(spares, facts);
    definition = catalogue.definition;
  });
  add(definition, items, interrupts);
}

void Errands::add(const Definition& definition, const std::vector<Item>& items,
                  const run::Interrupts& interrupts) {
  interrupts_ = &interrupts;
  for (const Item& item : items) {
    const bool create = item.phase == Phase::creating;
    const Helper::Order order =
        create ? create_order(definition, item, ledger_.workshop().fd_of(*item.work), rules_)
               : destroy_order(definition, item, rules_);
    running_.push_back({item, Helper(order, interrupts), create});
  }
}

void Errands::end(Errand& errand) {
  const Item& item = errand.item;
  const Work work = *item.work;
  std::string failure;
  if (errand.create) {
    const Made made = ledger_.workshop().outcome_of(work);
    bool fresh = true;
    std::vector<Item> unwanted;  // stopped meanwhile
    Definition definition;
    ledger_.update([&](Catalogue& catalogue, const Facts& facts) {
      fresh = catalogue.finish_create(item.number, made, facts);
      unwanted = catalogue.errands(false, facts);
      definition = catalogue.definition;
    });
    add(definition, unwanted, *interrupts_);
    failure = create_failure(errand.helper, made, fresh);
  } else {
    failure = destroy_failure(errand.helper, item);
    ledger_.update([&](Catalogue& catalogue, const Facts&) {
      catalogue.finish_destroy(item.number, failure.empty());
    });
  }
  ledger_.workshop().end(work);
  if (failure.empty()) return;
  failed_ = true;
  util::error(ledger_.key() + ": " + failure);
}

void Errands::look() noexcept {
  for (auto errand = running_.begin(); errand != running_.end();) {
    if (!errand->helper.look()) {
      ++errand;
      continue;
    }
    try {
      end(*errand);
    } catch (const std::exception& error) {
      failed_ = true;
      util::error(error.what());
    }
    errand = running_.erase(errand);
  }
}

std::optional<util::MonotonicTime> Errands::next_look() const noexcept {
  std::optional<util::MonotonicTime> next;
  for (const Errand& errand : running_) {
    if (!next || errand.helper.next_look() < *next) next = errand.helper.next_look();
  }
  return next;
}

void Errands::stop() noexcept {
  for (Errand& errand : running_) errand.helper.stop();
}

void Errands::finish(run::Interrupts& interrupts) noexcept {
  try {
    for (look(); busy(); look()) {
      if (interrupts.caught()) stop();
      std::vector<pollfd> fds;
      for (const Errand& errand : running_) fds.push_back({errand.helper.fd(), POLLIN, 0});
      // What was caught already does not interrupt a second time.
      const int64_t left = std::max<int64_t>((*next_look() - util::monotonic_now()).count(), 0);
      const timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
      ::ppoll(fds.data(), fds.size(), &timeout, &interrupts.wait_mask());
    }
  } catch (const std::exception& error) {
    util::error(error.what());
  }
}

}  // namespace cachify::resource

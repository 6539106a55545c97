#pragma once

#include <list>
#include <optional>

#include "resource/helper.h"
#include "resource/ledger.h"

namespace cachify::resource {

// How the commands of a definition are run for one caller.
struct HelperRules {
  util::Duration limit{};
  util::Duration kill_after{};
  std::vector<std::string> variables;  // for the environment of each
};

Helper::Order create_order(const Definition& definition, const Item& item, int output,
                           const HelperRules& rules);
Helper::Order check_order(const Definition& definition, const Item& item, const HelperRules& rules);
Helper::Order destroy_order(const Definition& definition, const Item& item,
                            const HelperRules& rules);

// Why a create that has ended gave nothing; empty: it did. `fresh`: its handle was not in the
// catalogue yet.
std::string create_failure(const Helper& helper, const Made& made, bool fresh);
// Why a destroy that has ended did not do it; empty: it did.
std::string destroy_failure(const Helper& helper, const Item& item);

// Creates and destroys that nobody waits for: they go on beside COMMAND, all at once. What fails is
// one message each, and is not tried again here.
class Errands {
 public:
  Errands(Ledger& ledger, HelperRules rules);

  // Starts what is to be done now: leftovers, and spares when they are asked for. Throws Error.
  void plan(bool spares, const run::Interrupts& interrupts);
  // Starts these, which were taken on in a change that was made.
  void add(const Definition& definition, const std::vector<Item>& items,
           const run::Interrupts& interrupts);
  // Sees to those that have ended. Never throws: what cannot be told to the store is found there by
  // the next caller.
  void look() noexcept;
  // When look() should be called at the latest; nullopt: nothing is going on.
  std::optional<util::MonotonicTime> next_look() const noexcept;
  void stop() noexcept;
  // Waits for all of them. Once a signal is caught, they are ended.
  void finish(run::Interrupts& interrupts) noexcept;

  bool busy() const noexcept { return !running_.empty(); }
  bool failed() const noexcept { return failed_; }

 private:
  struct Errand {
    Item item;
    Helper helper;
    bool create;
  };
  void end(Errand& errand);

  Ledger& ledger_;
  HelperRules rules_;
  std::list<Errand> running_;
  const run::Interrupts* interrupts_ = nullptr;
  bool failed_ = false;
};

}  // namespace cachify::resource

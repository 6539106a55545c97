#include "cli/claim_options.h"

namespace cachify::cli {

void ClaimOptions::add_to(OptionTable& table) {
  table.start_group(is_pool() ? "Pool" : "Lock");
  key_.add_to(table, with_command_, !is_pool() && with_command_);
  if (is_pool()) {
    table.add({'n', "max", "N",
               "How many slots there are, 1 or more; may be left out where the pool was resized",
               into_integer(max_, 1, kLargestNumber)});
    table.add({0, "weight", "W",
               with_command_ ? "How many of the N slots COMMAND takes; default 1"
                             : "How many of the N slots to take; default 1",
               into_integer(weight_, 1, kLargestNumber)});
    expiry_.add_to(table, "slot-exp",
                   with_command_
                       ? "The slot stops counting after that long, while COMMAND goes on. Not "
                         "given: it lasts as long as COMMAND does; none: until it is released"
                       : "The slot ends after that long. Not given, or none: until it is released "
                         "or its owner ends");
  } else {
    table.add({'s', "shared", "", "A reader: any number of them may hold the lock together",
               into_switch(shared_)});
    table.add({0, "weight", "W", "As for pools; a lock has one slot, so only 1 is possible",
               into_integer(weight_, 1, 1)});
    expiry_.add_to(table, "exp",
                   with_command_
                       ? "The lock stops counting after that long, while COMMAND goes on. Not "
                         "given: it lasts as long as COMMAND does; none: until it is released"
                       : "The lock ends after that long. Not given, or none: until it is released "
                         "or its owner ends");
  }
  wait_.add_to(table);
  if (is_pool()) {
    table.add({0, "shed-at", "N|P%", "From that occupancy on refuse at once, also with --wait",
               [this](const std::string& value) -> std::string {
                 shed_at_ = parse_occupancy(value);
                 return shed_at_ ? std::string() : std::string(kOccupancyForms);
               }});
  }
  replace_.add_to(table);
  refusal_.add_to(table, with_command_);
}

void ClaimOptions::fill(run::Request& request, const Settings& settings,
                        const std::vector<std::string>& command) const {
  store::Claim& claim = request.claim;
  claim.kind = kind_;
  if (is_pool() || !with_command_) {
    claim.key = key_.resolve(command);
  } else {
    std::vector<std::string> keys = key_.resolve_all(command);
    claim.key = keys.front();
    if (keys.size() > 1) request.keys = std::move(keys);
  }
  claim.max = is_pool() ? max_.value_or(0) : 1;
  claim.weight = weight_.value_or(1);
  claim.shared = shared_;
  claim.shed_at = shed_at_;
  expiry_.fill(request, is_pool() ? settings.slot_exp : settings.exp);
  wait_.fill(request, settings, replace_.given());
  replace_.fill(request);
  refusal_.fill(request, settings);
  claim.who = who_am_i(command);
}

}  // namespace cachify::cli

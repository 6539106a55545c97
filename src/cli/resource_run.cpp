#include "cli/resource_run.h"

#include "cli/open_store.h"
#include "resource/lender.h"

namespace cachify::cli {

const Manual& ResourceRun::manual() const noexcept {
  static constexpr Manual kManual = {
      "resource run --key KEY [--from NAME,... | --create CMD] [OPTIONS]\n"
      "               -- COMMAND [ARG...]",
      "Lends COMMAND one resource, which nobody else has meanwhile: its name or handle is "
      "CACHIFY_RESOURCE in COMMAND's environment. Gives it back when COMMAND has ended, and exits "
      "with COMMAND's code. All lent: exits 75, and COMMAND is not started.",
      {"cachify resource run -k port --from 80,81 -- sh -c './serve $CACHIFY_RESOURCE'",
       "cachify resource run -k db --create ./make-db --destroy drop -w -- make check"}};
  return kManual;
}

void ResourceRun::add_options(OptionTable& table) {
  table.start_group("Resource");
  key_.add_to(table, true);
  table.add({0, "count", "N",
             "Take N at once, all or none; CACHIFY_RESOURCE has them one to a line",
             into_integer(count_, 1, kLargestNumber)});
  definition_.add_to(table);
  wait_.add_to(table);
  table.add({0, "shed-at", "N|P%", "From that occupancy on refuse at once, also with --wait",
             [this](const std::string& value) -> std::string {
               shed_at_ = parse_occupancy(value);
               return shed_at_ ? std::string() : std::string(kOccupancyForms);
             }});
  refusal_.add_to(table);
  command_.add_to(table,
                  "When a lease is lost while COMMAND runs: only say so, or end COMMAND; default "
                  "term");
}

run::Request ResourceRun::request(const Settings& settings,
                                  const std::vector<std::string>& command) const {
  run::Request request;
  request.claim.kind = store::Kind::resource;
  request.claim.key = key_.resolve(command);
  request.claim.weight = count_.value_or(1);
  request.claim.shed_at = shed_at_;
  wait_.fill(request, settings);
  refusal_.fill(request, settings);
  // Like a lock's: two that use the same resource are worse than one that ends early.
  command_.fill(request, settings, run::OnLost::term);
  request.claim.who = who_am_i(command);
  request.command = command;
  return request;
}

run::Ending ResourceRun::execute(const Settings& settings,
                                 const std::vector<std::string>& command) {
  run::Request wanted = request(settings, command);
  const std::string& key = wanted.claim.key;
  resource::Wish wish;
  wish.key = key;
  wish.definition = definition_.definition(settings, key);
  wish.count = wanted.claim.weight;
  wish.limit = definition_.limit(settings, key);
  wish.kill_after = wanted.kill_after;
  const auto store = open_store(settings);
  resource::Lender lender(*store, std::move(wish));
  wanted.claim.max = lender.agree();
  wanted.escort = &lender;
  return run::run(*store, wanted);
}

std::unique_ptr<Command> make_resource_run() {
  return std::make_unique<ResourceRun>();
}

}  // namespace cachify::cli

#include "store/store.h"

#include "errors.h"

namespace cachify::store {

void Store::refuse(const std::string& what) const {
  throw UsageError("the store " + shown_url() + " cannot " + what);
}

Situation Store::summary(Kind kind, const std::string& key) {
  return situation(kind, key);
}

std::vector<KeySummary> Store::list(Kind /*kind*/) {
  refuse("list its keys");
}

void Store::resize(Kind /*kind*/, const std::string& /*key*/, std::optional<int64_t> /*max*/) {
  refuse("store a cap for everyone");
}

void Store::set_closed(Kind /*kind*/, const std::string& /*key*/, bool /*closed*/) {
  refuse("be closed or opened");
}

int64_t Store::dismiss(Kind /*kind*/, const std::string& /*key*/) {
  refuse("dismiss who waits");
}

int64_t Store::give_back(Kind /*kind*/, const std::string& /*key*/,
                         const std::optional<std::string>& /*id*/) {
  refuse("give back in place of the holder");
}

std::vector<std::string> Store::terminate(Kind /*kind*/, const std::string& /*key*/,
                                          const std::optional<std::string>& /*id*/,
                                          std::optional<util::Duration> /*kill_after*/) {
  refuse("end the command of a holder");
}

Finding bad_finding(const std::string& message, const char* otherwise) {
  const size_t end = message.rfind("; ");
  if (end == std::string::npos) return {Finding::Grade::bad, message, otherwise};
  return {Finding::Grade::bad, message.substr(0, end), message.substr(end + 2)};
}

bool Store::wait_until(Kind /*kind*/, const std::string& /*key*/,
                       const std::function<bool(const Situation&)>& /*enough*/,
                       const std::optional<util::MonotonicTime>& /*deadline*/,
                       run::Interrupts& /*interrupts*/) {
  refuse("tell when a pool is free, empty or idle");
}

CatalogueView Store::catalogue(const std::string& /*key*/) {
  refuse("lend resources");
}

void Store::update_catalogue(const std::string& /*key*/, const ChangeCatalogue& /*change*/,
                             run::Interrupts* /*interrupts*/) {
  refuse("lend resources");
}

std::vector<Finding> Store::examine() {
  refuse("be examined");
}

}  // namespace cachify::store

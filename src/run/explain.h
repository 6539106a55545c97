#pragma once

#include <optional>
#include <string>

#include "run/run.h"
#include "store/store.h"
#include "util/time_text.h"

namespace cachify::run {

// Why the caller was not admitted, in one line. Only for outcomes that end in 75 or 124.
std::string refusal_text(const store::Claim& claim, const std::optional<util::Duration>& timeout,
                         const store::Acquisition& acquisition);

// "place 3 in the queue; held by pid 123 (alice) for 3m12s: ./job.sh, and 3 more". With several
// holders the one that came first is named. `position` 0: not in the queue. `now_us`: wall clock.
std::string situation_text(const store::Situation& situation, int64_t position, int64_t now_us);

using util::span_text;

// The key that the request is about; several with commas between.
std::string shown_key(const Request& request);

// Tells once what the caller waits for: with -v at once, else after a second when standard error
// is a terminal, with -q never.
class WaitExplainer : public store::WaitObserver {
 public:
  explicit WaitExplainer(const store::Claim& claim) : claim_(claim) {}
  std::optional<util::Duration> explain_after() const override;
  void waiting(const store::Situation& situation, int64_t position) override;
  void note(const std::string& text) override;

 private:
  const store::Claim& claim_;
};

}  // namespace cachify::run

#include "run/explain.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "errors.h"
#include "util/identity.h"
#include "util/log.h"

namespace cachify::run {
namespace {

using store::Kind;
using store::Outcome;

// Of this host, as far as the name tells.
std::string user_text(const store::Who& who) {
  if (!who.user.empty()) return who.user;
  const std::string& name = util::user_name(who.uid);
  return name.empty() ? "uid " + std::to_string(who.uid) : name;
}

std::string holder_text(const store::HolderInfo& holder, int64_t now_us) {
  const bool here = holder.who.host.empty() || holder.who.host == util::host_name();
  std::string text = "pid " + std::to_string(holder.who.pid);
  if (!here) text += " on " + holder.who.host;
  // Elsewhere the number may mean somebody else.
  if (here || !holder.who.user.empty()) text += " (" + user_text(holder.who) + ")";
  const int64_t since = std::max<int64_t>(now_us - holder.since_us, 0);
  text += " for " + span_text(std::chrono::seconds(since / 1'000'000));
  if (holder.orphan) text += ", its cachify was killed";
  if (!holder.who.command.empty()) text += ": " + holder.who.command;
  return text;
}

std::string max_text(int64_t max) {
  return "(max=" + std::to_string(max) + ")";
}

// "75% of its slots", "3 slots"
std::string shed_text(const store::ShedAt& shed) {
  if (!shed.percent) return std::to_string(shed.slots) + (shed.slots == 1 ? " slot" : " slots");
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g%% of its slots", *shed.percent);
  return text.data();
}

}  // namespace

std::string shown_key(const Request& request) {
  if (request.keys.empty()) return request.claim.key;
  std::string text;
  for (const std::string& key : request.keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

std::string refusal_text(const store::Claim& claim, const std::optional<util::Duration>& timeout,
                         const store::Acquisition& acquisition) {
  const std::string& key = claim.key;
  const bool pool = claim.kind != Kind::lock;
  const std::string full =
      pool ? key + " is full " + max_text(acquisition.max) : key + " is already locked!";
  switch (acquisition.outcome) {
    case Outcome::queue_full:
      return full + ", and as many callers wait as --queue-max allows (" +
             std::to_string(claim.queue_max.value_or(0)) + ")";
    case Outcome::shed:
      return key + " is shed from " + shed_text(claim.shed_at.value_or(store::ShedAt{})) +
             " in use on " + max_text(acquisition.max);
    case Outcome::closed:
      return key + " is closed";
    case Outcome::dismissed:
      return key + ": dismissed from the queue";
    case Outcome::held_above:
      return full + " An ancestor of this command holds it, so that it can never be had";
    case Outcome::timed_out: {
      const char* what = claim.kind == Kind::pool   ? ": no slot became free"
                         : claim.kind == Kind::lock ? ": the lock did not become free"
                                                    : ": no resource became free";
      return key + what + (timeout ? " within " + span_text(*timeout) : "");
    }
    case Outcome::full:
    case Outcome::admitted:
    case Outcome::interrupted:
      break;
  }
  return full;
}

std::string situation_text(const store::Situation& situation, int64_t position, int64_t now_us) {
  std::string text;
  if (position > 0) text = "place " + std::to_string(position) + " in the queue; ";
  const auto& holders = situation.holders;
  const auto first =
      std::min_element(holders.begin(), holders.end(),
                       [](const auto& a, const auto& b) { return a.since_us < b.since_us; });
  if (first == holders.end()) {
    text += situation.with_who ? "held by nobody now" : "in use: " + std::to_string(situation.size);
  } else {
    text += "held by " + holder_text(*first, now_us);
    if (holders.size() > 1) text += ", and " + std::to_string(holders.size() - 1) + " more";
  }
  if (position == 0 && !situation.waiters.empty()) {
    text += "; waiting: " + std::to_string(situation.waiters.size());
  }
  return text;
}

std::optional<util::Duration> WaitExplainer::explain_after() const {
  if (util::verbosity() == util::Verbosity::verbose) return util::Duration::zero();
  if (util::verbosity() == util::Verbosity::normal && isatty(STDERR_FILENO) == 1) {
    return std::chrono::seconds(1);
  }
  return std::nullopt;
}

void WaitExplainer::waiting(const store::Situation& situation, int64_t position) {
  const bool ending = claim_.replace && claim_.replace->running && position == 1;
  std::string text = (ending ? "ending who holds " : "waiting for ") + claim_.key;
  if (claim_.kind != Kind::lock) {
    text += " " + max_text(situation.stored_max.value_or(claim_.max));
  }
  util::message(text + ", " + situation_text(situation, position, util::realtime_us()));
}

void WaitExplainer::note(const std::string& text) {
  util::explain(claim_.key + ": " + text);
}

}  // namespace cachify::run

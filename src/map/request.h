#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "map/format.h"
#include "map/joblog.h"
#include "run/run.h"
#include "store/store.h"
#include "util/time.h"

namespace cachify::map {

enum class Halt { never, soon, now };

// Everything that `pool map` asks for, with all defaults filled in.
struct Request {
  store::Claim claim;
  std::vector<std::string> command;  // with placeholders; at least one element

  bool wait = true;
  std::optional<util::Duration> timeout;  // how long it may be without any slot
  std::optional<int> conflict_exit_code;
  run::OnLost on_lost = run::OnLost::warn;
  util::Duration kill_after{};

  std::optional<std::string> input;  // a file; else standard input
  Format format;
  bool strict = false;
  int64_t queue = 64;   // items read ahead
  int64_t reserve = 0;  // slots that are not given back before the end

  bool keep_order = false;
  bool tag = false;
  bool dry_run = false;
  std::optional<std::string> results;
  std::optional<std::string> joblog;
  Joblog::Resume resume = Joblog::Resume::no;
  bool progress = false;

  int64_t retries = 0;
  Halt halt = Halt::never;
  std::optional<util::Duration> idle_timeout;
  std::optional<util::Duration> total_timeout;
};

}  // namespace cachify::map

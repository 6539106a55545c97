#include "cli/pool_map.h"

#include "cli/open_store.h"
#include "errors.h"
#include "map/map.h"

namespace cachify::cli {

namespace {

constexpr int64_t kMostReadAhead = 1'000'000;

// \t and \\ as people write them between single quotes; other backslashes stand for themselves.
std::string unescaped(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == 't' || next == '\\') {
      result += next == 't' ? '\t' : '\\';
      ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

}  // namespace

const Manual& PoolMap::manual() const noexcept {
  static constexpr Manual kManual = {
      "pool map --key KEY --max N [OPTIONS] -- COMMAND [ARG...] < ITEMS",
      "Runs COMMAND once for each line of standard input, each run in a slot of the pool that "
      "every other caller shares. {} in COMMAND is the item, {#} its number, {%} the slot; the "
      "item is "
      "appended when no placeholder stands there. Exits 0 when all succeeded, 123 when any failed.",
      {"cachify pool map --key load --max 4 --input hosts -- ./load {}",
       "cachify pool map --key db -n 2 --colsep , --header -- ./dump {host} <hosts.csv"}};
  return kManual;
}

void PoolMap::add_options(OptionTable& table) {
  table.start_group("Pool");
  key_.add_to(table, false, false, 0);
  table.add({'n', "max", "N",
             "How many slots there are, 1 or more; may be left out where the pool was resized",
             into_integer(max_, 1, kLargestNumber)});
  table.add({0, "reserve", "M", "Keep at least M slots for the whole run; default 0",
             into_integer(reserve_, 0, kLargestNumber)});
  add_item_options(table);
  add_output_options(table);
  add_end_options(table);
  wait_.add_to(table, true);
  table.add({'E', "conflict-exit-code", "N", "Exit with N, 0 to 255, instead of 75 and 124",
             into_integer(conflict_exit_code_, 0, 255)});
  command_.add_to(table,
                  "When a lease is lost while COMMAND runs: say so (default), or end COMMAND too",
                  false);
}

void PoolMap::add_item_options(OptionTable& table) {
  table.start_group("Items");
  table.add({0, "input", "FILE", "Read the items from FILE", into_text(input_)});
  table.add({'0', "null", "", "Items end with NUL instead of a line's end", into_switch(null_)});
  table.add({0, "colsep", "SEP",
             "Cut each item into columns, which are {1}, {2}... in COMMAND; \\t is a tab",
             into_text(colsep_)});
  table.add({0, "header", "", "The first row names the columns, for {name} in COMMAND",
             into_switch(header_)});
  table.add({0, "jsonl", "",
             "Each item is JSON: an object fills {name}, an array {1}, {2}..., [[...],{...}] both",
             into_switch(jsonl_)});
  table.add({0, "strict", "",
             "Read all items first, and start nothing when a row cannot be read or is of another "
             "length",
             into_switch(strict_)});
  table.add({0, "queue", "N", "Read at most N items ahead; default 64",
             into_integer(queue_, 1, kMostReadAhead)});
}

void PoolMap::add_output_options(OptionTable& table) {
  table.start_group("Output");
  table.add({'k', "keep-order", "",
             "Output in the order of the items; else as each run ends. Never interleaved",
             into_switch(keep_order_)});
  table.add({0, "tag", "", "Print each line after its item and a tab", into_switch(tag_)});
  table.add({0, "dry-run", "", "Print the commands only", into_switch(dry_run_)});
  table.add({0, "results", "DIR", "Keep DIR/N/stdout, stderr, exit and item of item N",
             into_text(results_)});
  table.add({0, "joblog", "FILE", "Log a line for each item, in GNU parallel's columns",
             into_text(joblog_)});
  table.add({0, "resume", "", "Leave out the items that the joblog has", into_switch(resume_)});
  table.add({0, "resume-failed", "", "Leave out the items that the joblog has as succeeded",
             into_switch(resume_failed_)});
  table.add({0, "progress", "",
             "Show done, failed, rate and time left on standard error; on by default on a terminal",
             into_switch(progress_)});
}

void PoolMap::add_end_options(OptionTable& table) {
  table.start_group("Failures and ends");
  table.add({0, "retries", "N", "Try a failed item up to N more times; default 0",
             into_integer(retries_, 0, kLargestNumber)});
  table.add({0, "halt", "never|soon|now",
             "After a failure: go on (default), start no more, or end the running ones too",
             [this](const std::string& value) -> std::string {
               if (value == "never") {
                 halt_ = map::Halt::never;
               } else if (value == "soon") {
                 halt_ = map::Halt::soon;
               } else if (value == "now") {
                 halt_ = map::Halt::now;
               } else {
                 return "never, soon or now";
               }
               return {};
             }});
  table.add({0, "idle-timeout", "DURATION", "Stop reading after so long without an item",
             into_duration(idle_timeout_)});
  table.add({0, "total-timeout", "DURATION", "Stop everything after so long, and exit 124",
             into_duration(total_timeout_)});
}

map::Request PoolMap::request(const Settings& settings,
                              const std::vector<std::string>& command) const {
  if (colsep_ && jsonl_)
    throw UsageError("--colsep and --jsonl exclude each other; give one of them");
  if ((resume_ || resume_failed_) && !joblog_) {
    throw UsageError("--resume needs the log of the earlier call; give --joblog FILE");
  }
  const int64_t reserve = reserve_.value_or(0);
  if (max_ && reserve > *max_) {
    throw UsageError("--reserve must be at most --max, " + std::to_string(*max_));
  }
  run::Request common;
  wait_.fill(common, settings, true);
  command_.fill(common, settings, run::OnLost::warn);

  map::Request request;
  request.claim = std::move(common.claim);
  request.claim.kind = store::Kind::pool;
  request.claim.key = key_.resolve({});
  request.claim.max = max_.value_or(0);
  if (settings.slot_exp && *settings.slot_exp != util::Duration::zero()) {
    request.claim.expiry = settings.slot_exp;
  }
  request.claim.who = who_am_i(command);
  request.command = command;
  request.wait = common.wait;
  request.timeout = common.timeout;
  request.conflict_exit_code = settings.conflict_exit_code;
  if (conflict_exit_code_) request.conflict_exit_code = static_cast<int>(*conflict_exit_code_);
  request.on_lost = common.on_lost;
  request.kill_after = common.kill_after;
  request.reserve = reserve;

  if (input_ && *input_ != "-") request.input = input_;
  if (colsep_) request.format.separator = unescaped(*colsep_);
  request.format.header = header_;
  request.format.json_lines = jsonl_;
  request.format.delimiter = null_ ? '\0' : '\n';
  request.strict = strict_;
  if (queue_) request.queue = *queue_;

  request.keep_order = keep_order_;
  request.tag = tag_;
  request.dry_run = dry_run_;
  request.progress = progress_;
  request.results = results_;
  request.joblog = joblog_;
  if (resume_) request.resume = map::Joblog::Resume::all;
  if (resume_failed_) request.resume = map::Joblog::Resume::failed;

  request.retries = retries_.value_or(0);
  request.halt = halt_;
  request.idle_timeout = idle_timeout_;
  request.total_timeout = total_timeout_;
  return request;
}

run::Ending PoolMap::execute(const Settings& settings, const std::vector<std::string>& command) {
  const map::Request wanted = request(settings, command);
  if (wanted.dry_run) return map::show_commands(wanted);
  return map::map(*open_store(settings), wanted);
}

std::unique_ptr<Command> make_pool_map() {
  return std::make_unique<PoolMap>();
}

}  // namespace cachify::cli

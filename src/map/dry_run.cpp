#include <poll.h>

#include "errors.h"
#include "exit_codes.h"
#include "map/feed.h"
#include "map/joblog.h"
#include "map/map.h"
#include "map/template.h"
#include "util/log.h"
#include "util/output.h"

namespace cachify::map {

run::Ending show_commands(const Request& request) {
  const Joblog joblog = request.joblog && request.resume != Joblog::Resume::no
                            ? Joblog(*request.joblog, request.resume)
                            : Joblog();
  Feed feed(request,
            {[&joblog](uint64_t number) { return joblog.is_done(number); }, [](uint64_t) {}});
  const auto wait = [](int fd) {
    pollfd readable{fd, POLLIN, 0};
    return ::poll(&readable, 1, -1) >= 0;
  };
  if (request.strict) feed.rehearse(wait);
  bool failed = false;
  while (!feed.finished()) {
    if (!feed.pending()) {
      wait(feed.wants());
      feed.read();
      continue;
    }
    const Item item = feed.take();
    try {
      const Row row = feed.row_of(item);
      util::write_output(shell_quoted(feed.command().fill(item.text, item.number, 0, row)) + '\n');
    } catch (const Unreadable& problem) {
      util::error("item " + std::to_string(item.number) + " " + problem.what());
      failed = true;
    }
  }
  return {failed ? kExitSomeFailed : kExitOk, std::nullopt};
}

}  // namespace cachify::map

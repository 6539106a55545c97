#include "store/redis/listing.h"

#include <algorithm>
#include <memory>
#include <set>

#include "store/redis/books.h"
#include "store/redis/client.h"
#include "store/redis/failure.h"
#include "store/redis/retries.h"
#include "store/redis/server_error.h"

namespace cachify::store::redis {

namespace {

constexpr const char* kNamesAtOnce = "1000";
constexpr size_t kSummariesAtOnce = 200;

Reply request(Connection& connection, const Command& command, const Limit& limit) {
  connection.send(command);
  connection.flush(limit);
  Reply reply = connection.receive(limit.within(kCommandTimeout));
  if (reply.is_error()) throw_failure(reply, connection.endpoint());
  return reply;
}

std::set<std::string> keys_on(Connection& node, const std::string& prefix, Kind kind,
                              const Limit& limit) {
  const std::string pattern = pattern_of_books(prefix, kind);
  std::set<std::string> keys;
  std::string cursor = "0";
  do {
    const Reply part =
        request(node, {"SCAN", cursor, "MATCH", pattern, "COUNT", kNamesAtOnce}, limit);
    cursor = part.at(0).string();
    for (const std::string& name : texts_in(part.at(1))) {
      if (auto key = key_of_books(name, prefix, kind)) keys.insert(std::move(*key));
    }
  } while (cursor != "0");
  return keys;
}

// Fills in what the books say about each. A key that has moved to another node since is left out.
void summarize(Connection& node, const std::string& prefix, Kind kind,
               const std::set<std::string>& keys, const Limit& limit,
               std::vector<KeySummary>& summaries) {
  bool known = false;  // to the server: the script
  auto next = keys.begin();
  while (next != keys.end()) {
    std::vector<const std::string*> asked;
    for (; next != keys.end() && asked.size() < kSummariesAtOnce; ++next) {
      // The first one loads the script for the others.
      node.send(Books(prefix, kind, *next).summary_command(!known));
      known = true;
      asked.push_back(&*next);
    }
    node.flush(limit);
    for (const std::string* key : asked) {
      const Reply reply = node.receive(limit.within(kCommandTimeout));
      if (redirection(reply, node.endpoint())) continue;
      if (is_wrong_type(reply)) throw_damaged(Keys(prefix, kind, *key).base);
      if (reply.is_error()) throw_failure(reply, node.endpoint());
      KeySummary summary = Books::summary(reply);
      summary.key = *key;
      if (summary.size > 0 || summary.waiting > 0 || summary.stored || summary.closed) {
        summaries.push_back(std::move(summary));
      }
    }
  }
}

void list_on(Connection& node, const std::string& prefix, Kind kind, const Limit& limit,
             std::vector<KeySummary>& summaries) {
  summarize(node, prefix, kind, keys_on(node, prefix, kind, limit), limit, summaries);
}

}  // namespace

std::vector<Endpoint> masters_of(Connection& node, const Limit& limit) {
  std::vector<Endpoint> masters;
  for (const Reply& range : request(node, {"CLUSTER", "SLOTS"}, limit).elements) {
    const Reply& master = range.at(2);
    Endpoint endpoint{master.at(0).text, static_cast<uint16_t>(master.at(1).number()), {}};
    // A node that does not know its own address.
    if (endpoint.host.empty() || endpoint.host == "?") endpoint.host = node.endpoint().host;
    if (std::find(masters.begin(), masters.end(), endpoint) == masters.end()) {
      masters.push_back(std::move(endpoint));
    }
  }
  return masters;
}

std::vector<KeySummary> list_keys(const Address& address, const std::string& prefix, Kind kind) {
  // As many round trips as it takes: each has its time, all of them together have not.
  const Limit all{kNever, nullptr};
  std::vector<KeySummary> summaries = ask(address, [&](Client& client, const Limit& limit) {
    std::vector<KeySummary> found;
    Connection& first = client.connect(limit);
    if (address.topology != Address::Topology::cluster) {
      list_on(first, prefix, kind, all, found);
      return found;
    }
    for (const Endpoint& master : masters_of(first, limit)) {
      Connection node(master, address, true, limit.within(address.connect_timeout));
      list_on(node, prefix, kind, all, found);
    }
    return found;
  });
  std::sort(summaries.begin(), summaries.end(),
            [](const KeySummary& a, const KeySummary& b) { return a.key < b.key; });
  // One that moved from node to node meanwhile.
  summaries.erase(
      std::unique(summaries.begin(), summaries.end(),
                  [](const KeySummary& a, const KeySummary& b) { return a.key == b.key; }),
      summaries.end());
  return summaries;
}

}  // namespace cachify::store::redis

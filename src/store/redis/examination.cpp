#include "store/redis/examination.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "errors.h"
#include "store/redis/failure.h"
#include "store/redis/listing.h"
#include "store/redis/random.h"
#include "store/redis/server_error.h"
#include "util/text.h"

namespace cachify::store::redis {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int64_t kOldestVersion = 6;
constexpr util::Duration kSlow = milliseconds(20);
constexpr int64_t kClockMayDifferUs = 1'000'000;
constexpr int64_t kFullPercent = 90;
constexpr size_t kLongestReason = 200;

Limit soon() {
  return {util::monotonic_now() + kCommandTimeout, nullptr};
}

// The answer, be it an error.
Reply ask_for(Connection& connection, const Command& command) {
  connection.send(command);
  connection.flush(soon());
  return connection.receive(soon());
}

std::optional<std::string> value_of(const std::map<std::string, std::string>& facts,
                                    const std::string& name) {
  const auto found = facts.find(name);
  if (found == facts.end()) return std::nullopt;
  return found->second;
}

int64_t number_of(const std::map<std::string, std::string>& facts, const std::string& name) {
  const std::string text = value_of(facts, name).value_or("0");
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Of CONFIG GET; nothing where we may not ask.
std::optional<std::string> setting(Connection& server, const char* name) {
  const Reply reply = ask_for(server, {"CONFIG", "GET", name});
  if (reply.type != Reply::Type::array || reply.elements.size() != 2) return std::nullopt;
  return reply.elements[1].text;
}

bool is_local(const Endpoint& endpoint) {
  return !endpoint.path.empty() || endpoint.host == "localhost" || endpoint.host == "::1" ||
         endpoint.host.starts_with("127.");
}

std::string milliseconds_text(util::Duration duration) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f ms", static_cast<double>(duration.count()) / 1e6);
  return text.data();
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

void Examination::good(const std::string& text) {
  findings_.push_back({Finding::Grade::good, at_ + text, {}});
}

void Examination::doubtful(const std::string& text, const std::string& advice) {
  findings_.push_back({Finding::Grade::doubtful, at_ + text, advice});
}

void Examination::bad(const std::string& text, const std::string& advice) {
  findings_.push_back({Finding::Grade::bad, at_ + text, advice});
}

void Examination::failed(const Failure& failure) {
  const char* advice = "look at the server's log";
  switch (failure.kind) {
    case Failure::Kind::unreachable:
    case Failure::Kind::nobody:
      advice = "start the server, or correct the address";
      break;
    case Failure::Kind::broken:
      advice =
          "see whether the server hangs, and whether something between here and there drops data";
      break;
    case Failure::Kind::busy:
      advice = "wait until it has loaded its data, or end the script that keeps it busy";
      break;
    case Failure::Kind::elsewhere:
      advice = "name the master, or use redis+sentinel:// or redis+cluster://";
      break;
    case Failure::Kind::denied:
      advice = "correct user and password, or give the user the rights in man cachify-stores";
      break;
    case Failure::Kind::refused:
    case Failure::Kind::senseless:
      break;
  }
  const std::string_view reason = util::cut(failure.what(), kLongestReason);
  bad("the server cannot be used: " + std::string(reason), advice);
}

std::vector<Finding> Examination::run() {
  try {
    look_at_network();
    if (address_.topology == Address::Topology::sentinel) look_at_sentinels();
    const Limit limit{util::monotonic_now() + address_.connect_timeout, nullptr};
    Client client(address_);
    Connection& first = client.connect(limit);
    if (address_.topology == Address::Topology::cluster) {
      look_at_cluster(first);
    } else if (!look_at_server(first)) {
      return std::exchange(findings_, {});
    }
    at_.clear();
    try_rights(client);
  } catch (const Failure& failure) {
    failed(failure);
  } catch (const Error& error) {
    bad(error.what(), "correct that");
  }
  return std::exchange(findings_, {});
}

void Examination::look_at_network() {
  const bool local = std::all_of(address_.endpoints.begin(), address_.endpoints.end(), is_local);
  if (address_.tls) {
    good("what is said to the server is encrypted, and its name is checked");
  } else if (local) {
    good("the server is on this machine");
  } else if (address_.password) {
    doubtful("the password and the commands cross the network in clear",
             "use rediss://, or a network that nobody else listens to");
  } else {
    doubtful("everyone who reaches the server can take slots and give them back",
             "give the server a password, and use rediss://");
  }
}

void Examination::look_at_sentinels() {
  std::vector<Endpoint> masters;
  for (const Endpoint& sentinel : address_.endpoints) {
    at_ = sentinel.text() + ": ";
    try {
      Connection connection(sentinel, address_, false,
                            {util::monotonic_now() + address_.connect_timeout, nullptr});
      const Reply reply =
          ask_for(connection, {"SENTINEL", "get-master-addr-by-name", address_.master});
      if (reply.is_error()) throw_failure(reply, sentinel);
      if (reply.type == Reply::Type::nil) {
        bad("this sentinel knows no master '" + address_.master + "'", "correct the name");
        continue;
      }
      const auto master = parse_endpoint(reply.at(0).string() + ":" + reply.at(1).string(), 0);
      if (master) masters.push_back(*master);
      const Reply quorum = ask_for(connection, {"SENTINEL", "CKQUORUM", address_.master});
      if (quorum.is_error() && kind_of(quorum.text) != Failure::Kind::denied) {
        doubtful("there are too few sentinels for a failover: " + quorum.text,
                 "start the ones that are missing");
      } else {
        good("the sentinel answers and names the master");
      }
    } catch (const Failure& failure) {
      at_.clear();  // it says where
      doubtful("this sentinel is of no use: " + std::string(failure.what()),
               "start it, or take it out of the URL");
    }
  }
  at_.clear();
  if (std::adjacent_find(masters.begin(), masters.end(), std::not_equal_to<>()) != masters.end()) {
    bad("the sentinels do not agree about the master",
        "wait for the end of the failover, or see why they do not hear of each other");
  }
}

void Examination::look_at_cluster(Connection& node) {
  const Reply state = ask_for(node, {"CLUSTER", "INFO"});
  if (state.is_error()) {
    doubtful("the state of the cluster cannot be told: " + state.text,
             "give the user the right +cluster|info");
  } else if (state.text.find("cluster_state:ok") == std::string::npos) {
    bad("the cluster is down, or a part of it is", "see redis-cli --cluster check");
  } else {
    good("the cluster is up");
  }
  const std::vector<Endpoint> masters = masters_of(node, soon());
  for (const Endpoint& master : masters) {
    at_ = master.text() + ": ";
    try {
      Connection connection(master, address_, true,
                            {util::monotonic_now() + address_.connect_timeout, nullptr});
      look_at_server(connection);
    } catch (const Failure& failure) {
      failed(failure);
    }
  }
}

bool Examination::look_at_server(Connection& server) {
  look_at_latency(server);
  look_at_clock(server);
  const Reply info = ask_for(server, {"INFO"});
  if (info.is_error()) {
    if (kind_of(info.text) != Failure::Kind::denied) throw_failure(info, server.endpoint());
    doubtful("version, role, disk and memory of the server cannot be told: this user may not ask",
             "give the user the right +info (and +config|get)");
    return true;
  }
  Facts facts;
  for (std::string_view rest = info.string(); !rest.empty();) {
    const size_t end = std::min(rest.find("\r\n"), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 2, rest.size()));
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      facts.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  if (!look_at_version(facts)) return false;
  look_at_role(facts);
  look_at_disk(server, facts);
  look_at_memory(facts);
  look_at_replicas(server, facts);
  return true;
}

void Examination::look_at_latency(Connection& server) {
  std::array<util::Duration, 5> took{};
  for (util::Duration& time : took) {
    const util::MonotonicTime start = util::monotonic_now();
    const Reply reply = ask_for(server, {"PING"});
    if (reply.is_error()) throw_failure(reply, server.endpoint());
    time = util::monotonic_now() - start;
  }
  std::sort(took.begin(), took.end());
  const util::Duration median = took[took.size() / 2];
  const std::string text = (at_.empty() ? server.endpoint().text() + " " : "") + "answers in " +
                           milliseconds_text(median);
  if (median < kSlow) return good(text);
  doubtful(text + ", and every run needs two answers", "use a server that is nearer");
}

void Examination::look_at_clock(Connection& server) {
  const int64_t before = util::realtime_us();
  const Reply reply = ask_for(server, {"TIME"});
  const int64_t after = util::realtime_us();
  if (reply.is_error()) return;  // that right is looked at with the others
  const int64_t time = std::strtoll(reply.at(0).string().c_str(), nullptr, 10) * 1'000'000 +
                       std::strtoll(reply.at(1).string().c_str(), nullptr, 10);
  const int64_t ahead = time - (before + after) / 2;
  if (std::abs(ahead) < kClockMayDifferUs) return good("its clock and ours agree");
  doubtful("its clock is " + std::to_string(std::abs(ahead) / 1000) + " ms " +
               (ahead > 0 ? "ahead of" : "behind") + " ours: ages are shown wrong",
           "run a time service, one that slews, on both");
}

bool Examination::look_at_version(const Facts& facts) {
  const std::string mode = value_of(facts, "redis_mode").value_or("standalone");
  if (mode == "sentinel") {
    bad("this is a sentinel, not a server", "use redis+sentinel://HOST:PORT/MASTER");
    return false;
  }
  if (mode == "cluster" && address_.topology != Address::Topology::cluster) {
    bad("this is a node of a cluster", "use redis+cluster://");
  }
  const auto valkey = value_of(facts, "valkey_version");
  const std::string version = value_of(facts, "redis_version").value_or("0");
  const std::string name = valkey ? "Valkey " + *valkey : "Redis " + version;
  if (std::strtoll(version.c_str(), nullptr, 10) < kOldestVersion) {
    bad("it is " + name + ", which is too old", "use Redis 6 or newer, or Valkey");
  } else {
    good("it is " + name);
  }
  return true;
}

void Examination::look_at_role(const Facts& facts) {
  const std::string role = value_of(facts, "role").value_or("");
  if (role == "master") return good("it is a master");
  bad("it is a replica, and takes no slots",
      "name the master, or use redis+sentinel:// or redis+cluster://");
}

// What a restart forgets.
void Examination::look_at_disk(Connection& server, const Facts& facts) {
  const std::string log = "appendonly yes and appendfsync always";
  if (value_of(facts, "aof_enabled") != "1") {
    const bool snapshots = !setting(server, "save").value_or("").empty();
    doubtful(std::string("its data is ") +
                 (snapshots ? "saved now and then" : "not saved for certain") +
                 ": after a restart it can have forgotten who holds, and let others in beside them",
             "set " + log + ", or let nothing depend on it");
  } else if (value_of(facts, "aof_last_write_status").value_or("ok") != "ok") {
    bad("it cannot write its data to the disk", "make room on the server's disk");
  } else if (const auto sync = setting(server, "appendfsync"); sync == "always") {
    good("its data is on disk before it answers");
  } else {
    doubtful(
        sync ? "its data is on disk only about a second later (appendfsync " + *sync +
                   "): a crash of the machine can lose slots"
             : "whether its data is on disk before it answers cannot be told: this user may not "
               "ask",
        sync ? "set appendfsync always" : "set appendfsync always, or give the right +config|get");
  }
  if (value_of(facts, "rdb_last_bgsave_status").value_or("ok") != "ok") {
    doubtful("its last snapshot failed, and it may refuse to take slots for that",
             "look at the server's log and disk");
  }
}

void Examination::look_at_memory(const Facts& facts) {
  const int64_t most = number_of(facts, "maxmemory");
  const int64_t used = number_of(facts, "used_memory");
  const std::string policy = value_of(facts, "maxmemory_policy").value_or("noeviction");
  if (most == 0) return good("its memory has no limit, so nothing is evicted");
  if (policy != "noeviction") {
    doubtful("it forgets data when its memory is full (maxmemory-policy " + policy + ")",
             "set maxmemory-policy noeviction");
  }
  const int64_t percent =
      static_cast<int64_t>(100.0 * static_cast<double>(used) / static_cast<double>(most));
  if (percent >= kFullPercent) {
    doubtful("its memory is full to " + std::to_string(percent) + " % of maxmemory",
             "give it more, or find out what fills it");
  } else if (policy == "noeviction") {
    good("nothing is evicted, and its memory is full to " + std::to_string(percent) + " %");
  }
}

void Examination::look_at_replicas(Connection& server, const Facts& facts) {
  int64_t online = 0;
  for (auto at = facts.lower_bound("slave"); at != facts.end() && at->first.starts_with("slave");
       ++at) {
    if (at->second.find("state=online") != std::string::npos) ++online;
  }
  const std::string follow =
      std::to_string(online) + (online == 1 ? " replica follows" : " replicas follow");
  if (online < address_.wait_replicas) {
    return bad(follow + ", fewer than wait-replicas=" + std::to_string(address_.wait_replicas),
               "start more replicas, or ask for fewer");
  }
  const std::string needed = setting(server, "min-replicas-to-write").value_or("0");
  const auto near = value_of(facts, "min_slaves_good_slaves");
  if (near &&
      std::strtoll(near->c_str(), nullptr, 10) < std::strtoll(needed.c_str(), nullptr, 10)) {
    return bad(follow + ", fewer than min-replicas-to-write=" + needed + ": it takes no slots",
               "start more replicas");
  }
  if (online > 0) good(follow);
}

// On keys of its own, with the very commands; see scripts/rights.lua.
void Examination::try_rights(Client& client) {
  const std::string name = "doctor-" + random_id();
  const Keys keys(prefix_, Kind::pool, name);
  std::vector<std::string> missing;
  std::string other;
  const auto judge = [&](const std::string& command, const std::string& error) {
    if (kind_of(error) == Failure::Kind::denied) {
      missing.push_back("+" + command);
    } else if (other.empty()) {
      other = command + ": " + error;
    }
  };
  const Reply refused = client.request(kRights, keys, {kind_text(Kind::pool)}, soon());
  for (const Reply& one : refused.elements) judge(one.at(0).string(), one.at(1).string());
  // What a script cannot try.
  const std::array<Command, 6> commands = {{{"MULTI"},
                                            {"EXEC"},
                                            {"SUBSCRIBE", keys.mark("x")},
                                            {"UNSUBSCRIBE"},
                                            {"BLPOP", keys.wake_up("x"), "0.1"},
                                            {"SCAN", "0", "COUNT", "1"}}};
  const std::array<const char*, 6> names = {"multi",       "exec",  "subscribe",
                                            "unsubscribe", "blpop", "scan"};
  Connection& connection = *client.connection();
  for (size_t i = 0; i < commands.size(); ++i) {
    const Reply reply = ask_for(connection, commands[i]);
    // Without MULTI, EXEC fails for that.
    if (reply.is_error() && reply.text.find("EXEC without MULTI") == std::string::npos) {
      const bool channel = reply.text.find("channel") != std::string::npos;
      judge(channel ? "subscribe &" + prefix_ + "*" : names[i], reply.text);
    }
  }
  // There still when BLPOP was refused.
  static_cast<void>(ask_for(connection, {"DEL", keys.wake_up("x")}));
  const std::string user = address_.user.empty() ? "default" : address_.user;
  if (!other.empty()) {
    bad("slots cannot be taken: " + std::string(util::cut(other, kLongestReason)),
        "look at the server's log and settings");
  }
  if (!missing.empty()) {
    bad("the user '" + user + "' may not do all that is needed",
        "ACL SETUSER " + user + " " + joined(missing));
  } else if (other.empty()) {
    good("the user '" + user + "' may do all that is needed");
  }
}

}  // namespace cachify::store::redis

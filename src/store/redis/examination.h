#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/redis/address.h"
#include "store/redis/client.h"
#include "store/redis/failure.h"
#include "store/store.h"

namespace cachify::store::redis {

// What `doctor` has to say about a server: looks at everything that cachify needs and at the
// settings that can lose slots. What it tries it tries on a key of its own, which it deletes. Never
// throws for what it finds.
class Examination {
 public:
  // `address` has to outlive the object.
  Examination(const Address& address, std::string prefix)
      : address_(address), prefix_(std::move(prefix)) {}
  virtual ~Examination() = default;

  std::vector<Finding> run();

 protected:
  void good(const std::string& text);
  void doubtful(const std::string& text, const std::string& advice);
  void bad(const std::string& text, const std::string& advice);
  // Last of all, on the server that takes the slots.
  virtual void try_rights(Client& client);

  const Address& address_;
  const std::string prefix_;

 private:
  // What INFO says, field by field.
  using Facts = std::map<std::string, std::string>;

  void failed(const Failure& failure);

  void look_at_network();
  void look_at_sentinels();
  void look_at_cluster(Connection& node);
  // Whether it is one.
  bool look_at_server(Connection& server);
  void look_at_latency(Connection& server);
  void look_at_clock(Connection& server);
  bool look_at_version(const Facts& facts);
  void look_at_role(const Facts& facts);
  void look_at_disk(Connection& server, const Facts& facts);
  void look_at_memory(const Facts& facts);
  void look_at_replicas(Connection& server, const Facts& facts);

  std::string at_;  // where there are several: "HOST:PORT: "
  std::vector<Finding> findings_;
};

}  // namespace cachify::store::redis

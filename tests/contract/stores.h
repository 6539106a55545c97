#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

// Every store that the contract cases run over. A new one adds a fixture and its row in stores.cpp.
namespace cachify::test {

class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  virtual const char* name() const = 0;
  // Why the store cannot be used here; empty when it can.
  virtual std::string unavailable() const { return {}; }
  // The same store from any process; nothing in it at first.
  virtual std::unique_ptr<store::Store> open() const = 0;
  // How long after a SIGKILL of its holder a slot may still be taken.
  virtual util::Duration until_crash_is_noticed() const = 0;
};

std::vector<std::unique_ptr<StoreFixture>> store_fixtures();

// Not among them, as it keeps no order and does not know who holds: what it does promise has cases
// of its own.
std::unique_ptr<StoreFixture> py_cachify_fixture();

}  // namespace cachify::test

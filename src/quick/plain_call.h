#pragma once

#include <cstdint>

namespace cachify::quick {

// A call whose meaning can be told without the full parser: `pool run` or `lock run` with a plain
// key, a number of slots and options that matter only when there is no slot, and an environment
// and a machine without settings of cachify's.
struct PlainCall {
  bool lock;
  const char* key;
  const char* store;  // the URL; nullptr: the default
  uint32_t max;
  bool waits;
  int64_t timeout_ns;  // of a call that waits; 0: as long as it takes
  bool below_a_call;   // the environment is that of a command of ours
  char** command;      // argv of COMMAND, up to a nullptr
  char** environment;
  const char* path;  // PATH; nullptr: not set
};

// Whether what stands behind CACHIFY_ in a variable only tells COMMAND about its slot: then cachify
// was called below itself. All others are settings.
bool tells_of_a_slot(const char* name);

// False for everything that is not plain, wrong calls included: the full parser decides then. What
// is plain here must be accepted there with the same meaning (tests/e2e/test_quick.py compares).
bool recognise(int argc, char** argv, char** environment, PlainCall& call);

}  // namespace cachify::quick

#pragma once

#include <cstdint>

// What the quick start (README.md in this folder) has done before main() began. Who would have
// done a part of it takes it over from here instead: Interrupts, the stores, start_child(),
// Supervisor, load_settings(). Plain data: it is written before the C library is there.
namespace cachify::quick {

struct Handover {
  bool admitted;  // a slot is held; acquire() takes over and clears this
  bool waiting;   // in the queue, not admitted; acquire() goes on with CHECK and clears this
  bool started;   // the command runs as our child `pid`; start_child() takes over and clears this

  bool signals_blocked;  // as by Interrupts' constructor, which takes over and clears this
  bool child_was_ignored;
  uint64_t given_mask;  // the kernel's form: bit n - 1 is signal n

  int directory_fd;
  int control_fd;
  int shard_fd;  // of the entry's shard; 0: that is the state file itself
  int hold_fd;
  uint32_t index;
  uint32_t slot;
  uint64_t ticket;
  uint64_t fence;
  int64_t arrived_ns;  // CLOCK_MONOTONIC; of who found the lock taken
  int64_t waited_ns;
  int signal_fd;  // a signalfd of what is blocked; 0: none. The Supervisor takes it over
  int pid;

  // Redis: the first request for a slot was written to `socket`; Client::send() takes over and
  // clears this. What has come of the answer stands in `answer`.
  bool asked;
  int socket;
  char id[16];
  int64_t asked_at_ns;  // CLOCK_BOOTTIME, before
  const char* answer;
  uint32_t answer_size;
  uint32_t cap;

  unsigned* bell;  // mapped; pools only
};

// All zero where there is no quick start.
extern Handover handover;

}  // namespace cachify::quick

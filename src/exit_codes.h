#pragma once

// The exit codes of cachify's own (contract, section 6). COMMAND's codes pass through unchanged.
namespace cachify {

enum ExitCode : int {
  kExitOk = 0,
  kExitNo = 1,            // the answer is no (is-locked, release)
  kExitUsage = 64,        // wrong use; nothing was started
  kExitUnavailable = 69,  // the store cannot be reached or cannot answer
  kExitInternal = 70,     // an error inside cachify
  kExitOsError = 71,      // the operating system refused something
  kExitFull = 75,         // full, locked, closed, shed, dismissed from the queue
  kExitLost = 76,         // the lease was lost or taken away and COMMAND was ended for it
  kExitConfig = 78,       // bad configuration
  kExitSomeFailed = 123,  // pool map, as xargs: items failed
  kExitTimeout = 124,     // the waiting time ran out
  kExitNotExecutable = 126,
  kExitNotFound = 127,
  kExitSignalBase = 128,  // + the signal's number
};

}  // namespace cachify

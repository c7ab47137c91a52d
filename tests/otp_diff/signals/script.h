#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace banyan::otp_diff {

// What one process does, by itself. Processes are known by a letter, monitors by a number: both are
// given out by the generator, so that either side knows what is meant, whether it came to be or
// not.
struct Op {
  enum class Kind : uint8_t {
    kLink,
    kUnlink,
    kMonitor,    // `ref`
    kDemonitor,  // `ref`; `flag`: flush
    kExit,       // exit(target, reason)
    kStop,       // ends with `reason`
    kTrap,       // `flag`
    kSend,       // `number` to the target
    kRegister,   // the target as `name`
    kUnregister,
    kWhereis,
    kSendName,
    kSpawn,   // `target`: its letter; `flag`: it traps exits
    kPause,   // leaves its messages in the mailbox from now on
    kResume,  // takes them
  };
  Kind kind = Kind::kLink;
  char target = 0;
  uint32_t ref = 0;  // kSpawn: monitored under this number; 0: not
  bool flag = false;
  bool link = false;   // kSpawn
  std::string reason;  // kSpawn: how it ends at once; empty: it lives
  std::string name;
  uint32_t number = 0;
  // kStop, ours: 0 returns the reason, 1 ends itself, 2 throws it. All the same in Erlang.
  uint32_t how = 0;
};

// The operations of one process, without a look at its mailbox in between.
struct Batch {
  char who = 0;
  std::vector<Op> ops;
};

// What OTP leaves open is left out. In a batch, once another process may be ending of what was
// done, only operations on that one follow; their signals arrive in order. An exit of oneself comes
// last: here it acts at the next wait, in Erlang at once. The results of demonitor with flush are
// not compared: false here for whatever had fired, in Erlang only if there was something to flush.
// Nor is what a process still took out of its mailbox before it ended.
struct Script {
  uint32_t seed = 0;
  std::vector<bool> traps;  // of the first processes: a, b, ...
  std::vector<Batch> batches;
};

Script Generate(uint32_t seed);

// As a term that signals_diff.erl reads, ending in ".\n".
std::string ToErlang(const Script& script);

// What our processes do with it, on virtual time. After every batch:
//   WHO RESULT ...        of its operations, in order
//   WHO < SENDER:MESSAGE  what each process has received, in order for each sender
//   WHO STATE             alive, with flag, links, monitors, watchers, names, mailbox; or its end
std::vector<std::string> RunOnProcesses(const Script& script);

}  // namespace banyan::otp_diff

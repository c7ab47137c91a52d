#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/payload.h"
#include "common/base/pid.h"
#include "server/behaviours/sys_event.h"

namespace banyan {

class Behaviour;

// What a debug function is told beside the event: OTP's Info, and the process's behaviour, which it
// may look at (GetState) but not keep.
struct DebugInfo {
  Pid pid;
  std::string_view name;  // registered; empty if none
  Behaviour& behaviour;
};

// A function installed by sys: runs in the target for every event, before the process goes on, so
// it must not block. Returns its next state; nullopt (OTP's `done`): it is removed. A thrown
// Payload is the next state too; any other exception removes the function and hurts nobody.
using DebugFunction = std::function<std::optional<Payload>(Payload state, const SysEvent& event,
                                                           const DebugInfo& info)>;

// One request to a process's debug facilities, or one of the options that it starts with.
struct DebugOption {
  enum class Kind : uint8_t {
    kTrace,       // `on`: print every event to standard output of the node
    kLog,         // `on`: keep the last `events` (10; at least 1); on already: resized, newest kept
    kLogGet,      // request only; answers SysLog
    kLogPrint,    // request only: print what the log has to standard output
    kLogToFile,   // `on`: a line an event to the file `name`, truncated first; closes an older one
    kStatistics,  // `on`: count; on already: the counters go on
    kStatisticsGet,  // request only; answers SysStatistics
    kInstall,        // `name` identifies it, `function`, `state`; installed already: ignored
    kRemove,         // request only: the function `name`; unknown: ignored
    kNoDebug,        // request only: everything off
  };
  Kind kind = Kind::kTrace;
  bool on = true;
  uint32_t events = 10;
  std::string name;
  DebugFunction function;
  Payload state;

  static DebugOption Trace(bool on = true) { return Of(Kind::kTrace, on); }
  static DebugOption Log(uint32_t events = 10) {
    DebugOption o = Of(Kind::kLog, true);
    o.events = events;
    return o;
  }
  static DebugOption LogOff() { return Of(Kind::kLog, false); }
  static DebugOption LogToFile(std::string path) {
    DebugOption o = Of(Kind::kLogToFile, true);
    o.name = std::move(path);
    return o;
  }
  static DebugOption LogToFileOff() { return Of(Kind::kLogToFile, false); }
  static DebugOption Statistics(bool on = true) { return Of(Kind::kStatistics, on); }
  static DebugOption Install(std::string id, DebugFunction function, Payload state = {}) {
    DebugOption o = Of(Kind::kInstall, true);
    o.name = std::move(id);
    o.function = std::move(function);
    o.state = std::move(state);
    return o;
  }
  static DebugOption Remove(std::string id) {
    DebugOption o = Of(Kind::kRemove, false);
    o.name = std::move(id);
    return o;
  }
  static DebugOption Of(Kind kind, bool on = true) {
    DebugOption o;
    o.kind = kind;
    o.on = on;
    return o;
  }
};

}  // namespace banyan

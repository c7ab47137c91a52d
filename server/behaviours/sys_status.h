#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/exit_reason.h"
#include "common/base/payload.h"
#include "common/base/pid.h"
#include "server/behaviours/sys_event.h"

namespace banyan {

// What people are shown of a process's inside, when they ask (get_status) and when it ends with an
// abnormal reason (reports). A behaviour's FormatStatus may change all of it, for one to hide
// secrets.
struct StatusView {
  // What GetState() gives (gen_statem: its Data); empty if it gives none.
  Payload state;
  // gen_statem: the state's name.
  std::string state_name;
  // Further things of the engine's or module's, as text: "postponed", "timeouts", ...
  std::map<std::string, std::string> items;
  // Logged events, oldest first; empty unless the log is on.
  std::vector<SysEvent> log;
  // Reports only: why it ends, and what it was handling if the log is on.
  std::optional<ExitReason> reason;
  Payload message;
};

// The answer to get_status, as a local payload.
struct SysStatus {
  Pid pid;
  std::string engine;  // Behaviour::engine(): "generic server", "state machine", "supervisor", ...
  std::string module;
  std::string name;  // registered; empty if none
  bool suspended = false;
  Pid parent;
  std::vector<Pid> ancestors;      // nearest first, up to the first that is not alive
  std::vector<std::string> debug;  // what is on, as "log 10", "statistics", "trace", "install id"
  std::string header;              // "Status for generic server NAME": the pid if there is no name
  Payload state;                   // view.state, for those who want only that
  StatusView view;
  std::string note;  // not empty: FormatStatus failed, so `view` is empty
};

}  // namespace banyan

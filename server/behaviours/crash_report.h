#pragma once

#include <string>
#include <string_view>

#include "common/base/exit_reason.h"
#include "common/base/pid.h"
#include "server/behaviours/sys_status.h"

namespace banyan {

// What is told of a process that ends by itself with an abnormal reason: OTP's report of the engine
// and the crash report in one.
struct CrashReport {
  Pid pid;
  std::string module;
  std::string name;         // registered; empty if none
  std::string_view engine;  // Behaviour::engine()
  ExitReason reason;
  // As FormatStatus leaves it, taken before OnTerminate. Without a state if the process was not
  // initialised, or if its reason became abnormal only in OnTerminate.
  StatusView view;
};

}  // namespace banyan

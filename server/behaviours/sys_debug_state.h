#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "server/behaviours/sys_debug.h"
#include "server/behaviours/sys_event.h"

namespace banyan {

// The debug facilities of one process that are on: OTP's list of debug options. A process has one
// only while something is on. Used on the process's turn alone.
class SysDebug {
 public:
  SysDebug() = default;
  SysDebug(const SysDebug&) = delete;
  SysDebug& operator=(const SysDebug&) = delete;

  // Turns something on or off. `now` and `reductions` are where statistics begin. Errors:
  // REQUEST_INVALID for a log of no events, a function that is none, or a file that cannot be
  // opened (no file is open then).
  absl::Status Set(const DebugOption& option, absl::Time now, uint64_t reductions);
  // Whether anything is on.
  bool any() const;
  // Tells whatever is on: trace, log, file and statistics first, then the functions, newest first.
  void Handle(const SysEvent& event, const DebugInfo& info);

  // Oldest first; empty if the log is off.
  std::vector<SysEvent> Logged() const;
  struct Statistics {
    absl::Time start;
    uint64_t reductions_at_start = 0;
    uint64_t messages_in = 0;
    uint64_t messages_out = 0;
  };
  const std::optional<Statistics>& statistics() const { return statistics_; }
  // What is on, as "log 10", "statistics", "trace", "log_to_file PATH", "install ID".
  std::vector<std::string> Describe() const;

 private:
  struct Log {
    size_t max = 0;
    std::deque<SysEvent> events;
  };
  struct Function {
    std::string id;
    DebugFunction call;
    Payload state;
  };
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };

  absl::Status SetLog(const DebugOption& option);
  absl::Status SetFile(const DebugOption& option);
  absl::Status Install(const DebugOption& option);
  // Whether `f` stays.
  static bool Run(Function& f, const SysEvent& event, const DebugInfo& info);

  bool trace_ = false;
  std::unique_ptr<Log> log_;
  std::optional<Statistics> statistics_;
  std::unique_ptr<std::FILE, Close> file_;
  std::string file_name_;
  std::vector<Function> functions_;  // newest first
};

// Prints one event's line to the node's standard output.
void PrintEvent(const SysEvent& event, const DebugInfo& info);

}  // namespace banyan

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/base/exit_reason.h"
#include "common/base/pid.h"
#include "server/core/supervisor_action.h"

namespace banyan {

struct CrashReport;
class ExecPrograms;
class Modules;
class PartitionTable;
class ProcessSpawner;
class Runtime;

// One thing that happened to a child of a local supervisor, or to the supervisor itself.
struct SupervisorEvent {
  enum class Kind : uint8_t {
    kSupervisorStarted,
    kSupervisorExited,  // `reason`
    kChildStarted,
    kChildStartFailed,  // `reason`
    kChildExited,       // by itself or killed by a stranger: `reason`
    kChildRestarted,    // `previous`: the process before
    kChildTerminated,   // by its supervisor: `reason`
    kChildDeleted,
    kIntensityExceeded,
  };
  Kind kind = Kind::kChildStarted;
  Pid supervisor;
  std::vector<std::string> path;  // to the supervisor, as SupervisorInfo::path
  std::string child_id;
  std::shared_ptr<const ChildSpec> spec;  // of the child
  Pid pid;
  Pid previous;
  ExitReason reason;
  uint32_t restarts = 0;
  std::optional<absl::Time> start_time;  // of `pid`, where it lives
};

// Hears what local supervisors do. Called on the supervisor's own turn, in order for one
// supervisor, from several threads for several; must not block.
class SupervisorEvents {
 public:
  virtual ~SupervisorEvents() = default;
  virtual void OnEvent(const SupervisorEvent& event) {}
  // OTP's supervisor and progress reports, for logs.
  virtual void OnReport(Pid supervisor, const std::string& name, const SupervisorReport& report) {}
};

// Hears how processes fail, for logs. Called on the process's turn; must not block.
class ProcessReports {
 public:
  virtual ~ProcessReports() = default;
  // The process ends by itself with an abnormal reason (OTP's crash report), in full and in short:
  // the first calls the second, if it is not overridden.
  virtual void OnCrashReport(const CrashReport& report);
  virtual void OnCrash(Pid pid, const std::string& module, const ExitReason& reason) {}
  // A handler of the event manager `pid` failed and was removed, or could not take another's place.
  virtual void OnHandlerCrash(Pid pid, const std::string& handler, const ExitReason& reason) {}
  // Something odd that was ignored: an unknown message to a supervisor, a failing terminate, ...
  virtual void OnWarning(Pid pid, const std::string& module, const std::string& text) {}
};

// An empty one.
std::shared_ptr<PartitionTable> MakePartitionTable();

// What a runtime's processes find around them: Runtime::SetHost(&host) before the first spawn.
// Outlives the runtime. Members may be null or empty.
struct Host {
  const Modules* modules = nullptr;
  SupervisorEvents* supervisor_events = nullptr;
  ProcessReports* reports = nullptr;
  ProcessSpawner* programs = nullptr;     // starts OS programs, for `exec`
  ExecPrograms* exec_programs = nullptr;  // server/modules: what the lease's end freezes
  bool allow_exec = true;                 // false: exec children fail to start, saying why
  std::string node;                       // this node's name, for BANYAN_NODE
  std::string address;                    // where this node is dialled, for BANYAN_ADDR
  // The partitioned supervisors of the runtime; never null.
  std::shared_ptr<PartitionTable> partitions = MakePartitionTable();
};

// The runtime's host; one without members if none was set.
const Host& HostOf(const Runtime& runtime);

}  // namespace banyan

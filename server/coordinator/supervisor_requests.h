#pragma once

#include <string>

#include "server/coordinator/coordinator.h"

namespace banyan {

struct Child;
struct Operation;
struct ClusterSupervisor;

// The changes that users ask for: each begins an operation, hands it to the supervisor's planner
// and ends it with the planner's reply.
class SupervisorRequests {
 public:
  explicit SupervisorRequests(Coordinator::Core* core) : core_(core) {}
  void StartSupervisor(StartSupervisorArgs args, Reply<v1::SupervisorInfo> done);
  void StopSupervisor(const Target& target, const ExitReason& reason, const std::string& request_id,
                      Reply<ExitReason> done);
  void StartChild(StartChildArgs args, Reply<v1::StartChildResponse> done);
  void TerminateChild(const ChildArgs& args, Reply<v1::TerminateChildResponse> done);
  void RestartChild(const ChildArgs& args, bool running_too, Reply<v1::RestartChildResponse> done);
  void DeleteChild(const ChildArgs& args, StatusReply done);

 private:
  void StartUnderParent(StartSupervisorArgs args, Reply<v1::SupervisorInfo> done);
  void RestartRoot(ClusterSupervisor* sup, Operation* op);
  void Restart(const std::string& path_key, const std::string& id, Operation* op);
  // The names that a spec would take, or which of them is not free.
  absl::Status CheckNames(const SupervisorSpec& spec) const;
  absl::Status CheckNames(const ChildSpec& spec) const;
  void FailOrRefuse(Operation* op, const absl::Status& status);

  Coordinator::Core* const core_;
};

}  // namespace banyan

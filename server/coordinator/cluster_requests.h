#pragma once

#include <functional>
#include <string>

#include "server/coordinator/coordinator.h"

namespace banyan {

struct Member;
struct Operation;

// What operators do to nodes, and drains until they are done.
class ClusterRequests {
 public:
  explicit ClusterRequests(Coordinator::Core* core) : core_(core) {}
  void Start();
  void SetCordon(const NodeArgs& args, bool cordoned, Reply<v1::NodeInfo> done);
  void ConfirmDead(const NodeArgs& args, uint32_t incarnation, bool force,
                   Reply<v1::NodeInfo> done);
  void RemoveNode(const NodeArgs& args, bool allow_missing, StatusReply done);
  void Drain(const NodeArgs& args, absl::Duration deadline, uint32_t max_parallel, bool then_leave,
             Reply<v1::NodeInfo> done);

 private:
  // Begins the operation on an existing node; null: answered.
  Operation* Begin(const NodeArgs& args, const std::string& kind, const std::string& more,
                   Reply<v1::NodeInfo> done, Member** member);
  void Tick();
  void Step(Member* member);

  Coordinator::Core* const core_;
};

}  // namespace banyan

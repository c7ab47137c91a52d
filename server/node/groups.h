#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/target.h"
#include "server/core/group_table.h"
#include "server/node/node.h"

namespace banyan {

// The cluster's process groups as this node has them (cluster.md 5.3): keeps the default scope's
// process running, tells the coordinator who joins and leaves here, and the process who does
// elsewhere. Each membership is written by its member's own node, so nothing can conflict. On the
// executor.
class Groups {
 public:
  explicit Groups(Node::Core* node) : node_(node) {}

  void Start();
  // A new session: what the node wants to hear of.
  void OnSession();
  // This node's members, for its resync.
  std::vector<internal::v1::GroupDelta> Snapshot() const;
  void OnDelta(const internal::v1::GroupDelta& delta);
  // Members of lives that are over have left.
  void OnView(const ClusterView& view);
  // This life as a member is over: members elsewhere are not known any more.
  void OnMembershipEnded();

  // The member that `target` means now, in this runtime's form. Error: GROUP_EMPTY.
  absl::StatusOr<Pid> Pick(const Target::Group& target) const;

 private:
  void StartScope();
  void OnScopeStarted(Pid scope);
  void OnScopeEnded();
  void OnNodeGone(wire::NodeIdentity id);
  // Lives of other nodes that have members.
  std::vector<wire::NodeIdentity> Others() const;
  void OnLocal(const GroupChange& change);
  void Tell(const internal::v1::GroupDelta& delta);
  internal::v1::GroupDelta Delta(const std::string& group) const;

  Node::Core* const node_;
  GroupTable table_;  // as the scope's process has it, and again after its restart
  // Groups of other nodes that were told of under this session; what is not, at the end of a
  // node's list, is over.
  std::map<std::pair<uint32_t, uint32_t>, std::set<std::string>> listed_;
  uint64_t life_ = 0;  // of the scope's process
  uint64_t seq_ = 0;   // of the last delta
  Pid scope_;          // invalid while it is being started
};

}  // namespace banyan

#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/pid.h"
#include "common/base/target.h"
#include "server/coordinator/coordinator.h"
#include "server/core/group_table.h"

namespace banyan {

class ControlSession;
struct Member;

// Process groups (cluster.md 5.3): memory, as the members' nodes have told it. A node's members are
// its own to say: it tells all of them at each resync and every change after that, and they are
// gone with its life, which other nodes learn from the view. Told on to the nodes that asked.
class GroupRegistry {
 public:
  explicit GroupRegistry(Coordinator::Core* core) : core_(core) {}

  // The empty name stands for all groups. Who asks hears at once what is there.
  void OnInterest(ControlSession* session, const internal::v1::GroupInterest& interest);
  void OnDelta(ControlSession* session, const internal::v1::GroupDelta& delta);
  void OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks);
  void OnNodeGone(uint32_t node_id, uint32_t incarnation);

  // The member that `target` means now. Error: GROUP_EMPTY.
  absl::StatusOr<Pid> Pick(const Target::Group& target) const;

 private:
  struct Key {
    uint32_t node_id = 0;
    uint32_t incarnation = 0;
    std::string group;
    auto operator<=>(const Key&) const = default;
  };
  // What has come of one node's group since it was last told on.
  struct Gathered {
    std::map<uint64_t, int64_t> joined;  // by process: joins less leaves
    bool snapshot = false;
  };
  // False: news of this node is missing in between.
  bool InOrder(const internal::v1::GroupDelta& delta);
  void Gather(const internal::v1::GroupDelta& delta);
  void Flush();
  void Relay(uint32_t except_node, const internal::v1::GroupDelta& delta);
  // All of the member's groups that the session wants, and that these are all.
  void SendList(ControlSession* to, const Member& of) const;
  internal::v1::GroupDelta List(const Member& of, const std::string& group) const;

  Coordinator::Core* const core_;
  GroupTable table_;                                        // pids of nodes, none of them local
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> seqs_;  // by life of a node: its last news
  std::map<Key, Gathered> gathered_;
  uint64_t timer_ = 0;  // news is being gathered
};

}  // namespace banyan

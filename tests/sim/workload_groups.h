#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/behaviours/pg.h"
#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes of all nodes join groups of the cluster, leave them and die; on each node one follows
// the changes.
//
// INV-16: 2 s after the last change every node has the same members in every group, which are those
// that have joined and live, as often as they have; and so has who followed the changes.
class GroupWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "groups"; }
  void StopLoad() override;

 private:
  struct Joiner : Actor {
    std::map<std::string, int> joined;
  };
  struct Follower : Actor {
    bool follows = false;
    GroupTable groups;
  };

  void OnLife(int node) override;
  void OnTick() override;
  void CheckAtRest() override;
  void SpawnMember(int node);
  void SpawnFollower(int node);
  Task<ExitReason> RunMember(Self& self, Joiner* me);
  Task<void> ChangeOne(Self& self, Joiner* me);
  Task<ExitReason> RunFollower(Self& self, Follower* me);
  // The members of all groups, as the processes of `node` name them.
  GroupTable::Groups Expected(int node);
  void Compare(int node, const std::string& who, const GroupTable::Groups& found);
  void CompareAll();

  Instant compare_at_ = Instant::Infinite();
};

}  // namespace banyan::sim

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/pid.h"

namespace banyan {

// One change of one group. `pids` is never empty; a pid that joined or left several times is there
// as often.
struct GroupChange {
  enum class Kind : uint8_t { kJoin, kLeave };
  Kind kind = Kind::kJoin;
  std::string group;
  std::vector<Pid> pids;
  friend bool operator==(const GroupChange&, const GroupChange&) = default;
};

// The members of a scope's groups: a multiset of pids for each group that has members. Knows
// members of all nodes; a pid says which node's it is. Members are listed in the order of pids, a
// node's together, local ones first.
class GroupTable {
 public:
  using Groups = std::map<std::string, std::vector<Pid>>;
  using Changes = std::vector<GroupChange>;

  // Each of `pids` joins once. Without any there is no group.
  void Join(const std::string& group, const std::vector<Pid>& pids);
  // Each of `pids` leaves once, if it is a member; returns those that were.
  std::vector<Pid> Leave(const std::string& group, const std::vector<Pid>& pids);
  // The process has ended: one change for each time that it had joined.
  Changes Forget(const Pid& pid);
  // That life of the node is over: one change for each group.
  Changes ForgetNode(uint32_t node_id, uint32_t incarnation);
  // The node's members of `group` are now `pids`, which are all of that life of it: the difference.
  Changes Replace(uint32_t node_id, uint32_t incarnation, const std::string& group,
                  const std::vector<Pid>& pids);

  // None if there is no such group.
  std::vector<Pid> Members(const std::string& group) const;
  std::vector<Pid> MembersOf(uint32_t node_id, uint32_t incarnation,
                             const std::string& group) const;
  std::vector<Pid> LocalMembers(const std::string& group) const { return MembersOf(0, 0, group); }
  // Names, sorted.
  std::vector<std::string> WhichGroups() const;
  std::vector<std::string> WhichLocalGroups() const { return GroupsOf(0, 0); }
  std::vector<std::string> GroupsOf(uint32_t node_id, uint32_t incarnation) const;
  Groups All() const;
  // Is it in any group?
  bool Contains(const Pid& pid) const { return groups_of_.contains(pid); }
  bool empty() const { return groups_.empty(); }

 private:
  using Count = uint32_t;  // how often it joined; never 0
  void Add(const std::string& group, const Pid& pid);
  bool Remove(const std::string& group, const Pid& pid);

  std::map<std::string, std::map<Pid, Count>> groups_;
  std::map<Pid, std::set<std::string>> groups_of_;
};

}  // namespace banyan

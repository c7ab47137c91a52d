#include "server/core/group_table.h"

#include <algorithm>
#include <iterator>

namespace banyan {
namespace {

using Kind = GroupChange::Kind;

bool OfNode(const Pid& pid, uint32_t node_id, uint32_t incarnation) {
  return pid.node_id == node_id && pid.incarnation == incarnation;
}

}  // namespace

void GroupTable::Add(const std::string& group, const Pid& pid) {
  ++groups_[group][pid];
  groups_of_[pid].insert(group);
}

bool GroupTable::Remove(const std::string& group, const Pid& pid) {
  const auto members = groups_.find(group);
  if (members == groups_.end()) return false;
  const auto member = members->second.find(pid);
  if (member == members->second.end()) return false;
  if (--member->second > 0) return true;
  members->second.erase(member);
  const auto of = groups_of_.find(pid);
  of->second.erase(group);
  if (of->second.empty()) groups_of_.erase(of);
  if (members->second.empty()) groups_.erase(members);
  return true;
}

void GroupTable::Join(const std::string& group, const std::vector<Pid>& pids) {
  for (const Pid& pid : pids) Add(group, pid);
}

std::vector<Pid> GroupTable::Leave(const std::string& group, const std::vector<Pid>& pids) {
  std::vector<Pid> left;
  for (const Pid& pid : pids) {
    if (Remove(group, pid)) left.push_back(pid);
  }
  return left;
}

GroupTable::Changes GroupTable::Forget(const Pid& pid) {
  Changes changes;
  const auto of = groups_of_.find(pid);
  if (of == groups_of_.end()) return changes;
  const std::set<std::string> groups = of->second;
  for (const std::string& group : groups) {
    while (Remove(group, pid)) changes.push_back({Kind::kLeave, group, {pid}});
  }
  return changes;
}

GroupTable::Changes GroupTable::ForgetNode(uint32_t node_id, uint32_t incarnation) {
  Changes changes;
  for (const std::string& group : GroupsOf(node_id, incarnation)) {
    changes.push_back({Kind::kLeave, group, Leave(group, MembersOf(node_id, incarnation, group))});
  }
  return changes;
}

GroupTable::Changes GroupTable::Replace(uint32_t node_id, uint32_t incarnation,
                                        const std::string& group, const std::vector<Pid>& pids) {
  const std::vector<Pid> before = MembersOf(node_id, incarnation, group);
  std::vector<Pid> after = pids;
  std::sort(after.begin(), after.end());
  std::vector<Pid> left, joined;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(left));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(joined));
  Leave(group, left);
  Join(group, joined);
  Changes changes;
  if (!left.empty()) changes.push_back({Kind::kLeave, group, std::move(left)});
  if (!joined.empty()) changes.push_back({Kind::kJoin, group, std::move(joined)});
  return changes;
}

std::vector<Pid> GroupTable::Members(const std::string& group) const {
  std::vector<Pid> pids;
  const auto members = groups_.find(group);
  if (members == groups_.end()) return pids;
  for (const auto& [pid, count] : members->second) pids.insert(pids.end(), count, pid);
  return pids;
}

std::vector<Pid> GroupTable::MembersOf(uint32_t node_id, uint32_t incarnation,
                                       const std::string& group) const {
  std::vector<Pid> pids;
  const auto members = groups_.find(group);
  if (members == groups_.end()) return pids;
  for (auto it = members->second.lower_bound(Pid{node_id, incarnation, 0});
       it != members->second.end() && OfNode(it->first, node_id, incarnation); ++it) {
    pids.insert(pids.end(), it->second, it->first);
  }
  return pids;
}

std::vector<std::string> GroupTable::WhichGroups() const {
  std::vector<std::string> names;
  for (const auto& [name, members] : groups_) names.push_back(name);
  return names;
}

std::vector<std::string> GroupTable::GroupsOf(uint32_t node_id, uint32_t incarnation) const {
  std::set<std::string> names;
  for (auto it = groups_of_.lower_bound(Pid{node_id, incarnation, 0});
       it != groups_of_.end() && OfNode(it->first, node_id, incarnation); ++it) {
    names.insert(it->second.begin(), it->second.end());
  }
  return {names.begin(), names.end()};
}

GroupTable::Groups GroupTable::All() const {
  Groups all;
  for (const auto& [name, members] : groups_) all[name] = Members(name);
  return all;
}

}  // namespace banyan

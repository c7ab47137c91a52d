#include "server/coordinator/groups.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"
#include "server/core/group_pick.h"

namespace banyan {
namespace {

using internal::v1::GroupDelta;

bool Wants(const ControlSession& session, const std::string& group) {
  return session.groups.contains("") || session.groups.contains(group);
}

// A node speaks of its own members only. The empty name is no group's.
bool Of(const GroupDelta& delta, const Member& member) {
  return delta.node_id() == member.node_id() && delta.incarnation() == member.incarnation() &&
         !delta.group().empty();
}

template <typename Serials>
std::vector<Pid> PidsOf(const Member& member, const Serials& serials) {
  std::vector<Pid> pids;
  for (uint64_t serial : serials) pids.push_back({member.node_id(), member.incarnation(), serial});
  return pids;
}

}  // namespace

void GroupRegistry::OnInterest(ControlSession* session,
                               const internal::v1::GroupInterest& interest) {
  for (const auto& group : interest.remove()) session->groups.erase(group);
  for (const auto& group : interest.add()) session->groups.insert(group);
  if (interest.add_size() == 0) return;
  for (const auto& [name, member] : core_->members.all()) {
    // One that has not resynced is told of when it has.
    if (!member->gone() && member->resynced && member->control != session) {
      SendList(session, *member);
    }
  }
}

void GroupRegistry::OnDelta(ControlSession* session, const GroupDelta& delta) {
  const Member& member = *session->member;
  if (!Of(delta, member)) {
    return session->Close(
        MakeError("PROTOCOL_VIOLATION", "group members of another node, or of no group"));
  }
  const std::vector<Pid> joined = PidsOf(member, delta.joined());
  if (delta.snapshot()) {
    table_.Replace(member.node_id(), member.incarnation(), delta.group(), joined);
  } else {
    table_.Join(delta.group(), joined);
    table_.Leave(delta.group(), PidsOf(member, delta.left()));
  }
  Relay(session, delta);
}

void GroupRegistry::OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks) {
  table_.ForgetNode(member->node_id(), member->incarnation());
  for (const auto& chunk : chunks) {
    for (const GroupDelta& delta : chunk.groups()) {
      if (Of(delta, *member)) table_.Join(delta.group(), PidsOf(*member, delta.joined()));
    }
  }
  core_->sessions.ForEachControl([&](ControlSession* other) {
    if (other != member->control && !other->groups.empty()) SendList(other, *member);
  });
}

void GroupRegistry::OnNodeGone(uint32_t node_id, uint32_t incarnation) {
  table_.ForgetNode(node_id, incarnation);
}

void GroupRegistry::Relay(const ControlSession* except, const GroupDelta& delta) {
  core_->sessions.ForEachControl([&](ControlSession* other) {
    if (other != except && Wants(*other, delta.group())) other->SendGroups(delta);
  });
}

GroupDelta GroupRegistry::List(const Member& of, const std::string& group) const {
  GroupDelta delta;
  delta.set_node_id(of.node_id());
  delta.set_incarnation(of.incarnation());
  delta.set_snapshot(true);
  delta.set_group(group);
  for (const Pid& pid : table_.MembersOf(of.node_id(), of.incarnation(), group)) {
    delta.add_joined(pid.id);
  }
  return delta;
}

void GroupRegistry::SendList(ControlSession* to, const Member& of) const {
  for (const std::string& group : table_.GroupsOf(of.node_id(), of.incarnation())) {
    if (Wants(*to, group)) to->SendGroups(List(of, group));
  }
  to->SendGroups(List(of, ""));
}

absl::StatusOr<Pid> GroupRegistry::Pick(const Target::Group& target) const {
  const std::vector<Pid> members = table_.Members(target.group);
  if (members.empty()) {
    return MakeError("GROUP_EMPTY", fmt::format("the group \"{}\" has no member", target.group),
                     {{"group", target.group}});
  }
  // Mailboxes are not known here.
  return PickMember(members, {.selection = target.selection, .hash_key = target.hash_key},
                    core_->deps.random);
}

}  // namespace banyan

#include "server/coordinator/groups.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "server/coordinator/core.h"
#include "server/core/group_pick.h"

namespace banyan {
namespace {

using internal::v1::GroupDelta;

constexpr absl::Duration kGather = absl::Milliseconds(50);

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
  Flush();  // or the session would be told of it twice
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
  if (!InOrder(delta)) {
    // The node dials again, and tells all it has.
    return session->Close(MakeError("PROTOCOL_VIOLATION", "news of group members is missing"));
  }
  const std::vector<Pid> joined = PidsOf(member, delta.joined());
  if (delta.snapshot()) {
    table_.Replace(member.node_id(), member.incarnation(), delta.group(), joined);
  } else {
    table_.Join(delta.group(), joined);
    table_.Leave(delta.group(), PidsOf(member, delta.left()));
  }
  Gather(delta);
}

bool GroupRegistry::InOrder(const GroupDelta& delta) {
  uint64_t& last = seqs_[{delta.node_id(), delta.incarnation()}];
  const bool first = last == 0 || delta.group_seq() == 0;
  if (!first && delta.group_seq() != last + 1) return false;
  last = std::max(last, delta.group_seq());
  return true;
}

// The first news goes on at once; what comes within the next moment goes on together.
void GroupRegistry::Gather(const GroupDelta& delta) {
  Gathered& gathered = gathered_[{delta.node_id(), delta.incarnation(), delta.group()}];
  if (delta.snapshot()) {
    gathered = {.snapshot = true};
  } else if (!gathered.snapshot) {
    for (uint64_t id : delta.joined()) ++gathered.joined[id];
    for (uint64_t id : delta.left()) --gathered.joined[id];
  }
  if (timer_ == 0) Flush();
}

void GroupRegistry::Flush() {
  core_->Cancel(std::exchange(timer_, 0));
  if (gathered_.empty()) return;
  for (const auto& [key, gathered] : std::exchange(gathered_, {})) {
    const Member* member = core_->members.FindLive(key.node_id, key.incarnation);
    if (member == nullptr) continue;
    GroupDelta delta = gathered.snapshot ? List(*member, key.group) : GroupDelta();
    delta.set_node_id(key.node_id);
    delta.set_incarnation(key.incarnation);
    delta.set_group(key.group);
    for (const auto& [id, count] : gathered.joined) {
      for (int64_t i = 0; i < count; ++i) delta.add_joined(id);
      for (int64_t i = 0; i > count; --i) delta.add_left(id);
    }
    const bool news = delta.snapshot() || delta.joined_size() > 0 || delta.left_size() > 0;
    if (news) Relay(key.node_id, delta);
  }
  timer_ = core_->After(kGather, [this] { Flush(); });
}

void GroupRegistry::OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks) {
  std::vector<std::string> before = table_.GroupsOf(member->node_id(), member->incarnation());
  table_.ForgetNode(member->node_id(), member->incarnation());
  const auto life = std::make_pair(member->node_id(), member->incarnation());
  seqs_.erase(life);
  std::erase_if(gathered_, [&](const auto& entry) {
    return std::make_pair(entry.first.node_id, entry.first.incarnation) == life;
  });
  for (const auto& chunk : chunks) {
    for (const GroupDelta& delta : chunk.groups()) {
      seqs_[life] = std::max(seqs_[life], delta.group_seq());
      if (Of(delta, *member)) table_.Join(delta.group(), PidsOf(*member, delta.joined()));
    }
  }
  // Sessions that were told of a group of this node go by its list only if the group is on it.
  std::erase_if(before, [&](const std::string& group) {
    return !table_.MembersOf(member->node_id(), member->incarnation(), group).empty();
  });
  core_->sessions.ForEachControl([&](ControlSession* other) {
    if (other == member->control || other->groups.empty()) return;
    SendList(other, *member);
    for (const std::string& group : before) {
      if (Mutant("group-loss-untold")) break;
      if (Wants(*other, group)) other->SendGroups(List(*member, group));
    }
  });
}

void GroupRegistry::OnNodeGone(uint32_t node_id, uint32_t incarnation) {
  table_.ForgetNode(node_id, incarnation);
  seqs_.erase({node_id, incarnation});
}

void GroupRegistry::Relay(uint32_t except_node, const GroupDelta& delta) {
  core_->sessions.ForEachControl([&](ControlSession* other) {
    if (other->member->node_id() != except_node && Wants(*other, delta.group()))
      other->SendGroups(delta);
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

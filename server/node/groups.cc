#include "server/node/groups.h"

#include <memory>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/module.h"
#include "server/behaviours/pg.h"
#include "server/behaviours/pg_scope.h"
#include "server/core/group_pick.h"
#include "server/node/node_core.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

// A scope whose name another process has is tried again after this.
constexpr absl::Duration kStartPause = absl::Seconds(1);

}  // namespace

void Groups::Start() { StartScope(); }

// ------------------------------------------------------- the scope's process

void Groups::StartScope() {
  auto on_local = [weak = node_->weak_from_this(), life = ++life_](const GroupChange& change) {
    std::shared_ptr<Node::Core> node = weak.lock();
    if (!node) return;
    node->Post([life, change](Node::Core& core) {
      if (core.groups.life_ == life) core.groups.OnLocal(change);
    });
  };
  StartOptions options;
  options.link = false;
  options.name = pg::kDefaultScope;
  options.module = "pg";
  options.max_messages = kPgMailboxMax;
  StartFromOutside(
      *node_->deps.runtime,
      [on_local = std::move(on_local), options = std::move(options)](Self& self) {
        return StartBehaviour(
            self, [on_local] { return std::make_unique<PgScope>(pg::kDefaultScope, on_local); }, {},
            options);
      },
      [weak = node_->weak_from_this()](const StartResult& result) {
        std::shared_ptr<Node::Core> node = weak.lock();
        if (!node) return;
        node->Post([started = result.started(), pid = result.pid](Node::Core& core) {
          if (started) return core.groups.OnScopeStarted(pid);
          if (!core.stopping) core.After(kStartPause, [](Node::Core& c) { c.groups.StartScope(); });
        });
      });
}

void Groups::OnScopeStarted(Pid scope) {
  scope_ = scope;
  node_->deps.runtime->Monitor(scope, [weak = node_->weak_from_this()](Pid, const ExitReason&) {
    std::shared_ptr<Node::Core> node = weak.lock();
    if (node) node->Post([](Node::Core& core) { core.groups.OnScopeEnded(); });
  });
  for (const auto& [group, pids] : table_.All()) {
    std::vector<Pid> elsewhere;
    for (const Pid& pid : pids) {
      if (!pid.local()) elsewhere.push_back(pid);
    }
    if (elsewhere.empty()) continue;
    node_->deps.runtime->Send(scope_, Payload::Local(PgNews{.group = group, .pids = elsewhere}));
  }
}

// As in OTP its local members must join again.
void Groups::OnScopeEnded() {
  scope_ = {};
  for (const GroupChange& change : table_.ForgetNode(0, 0)) {
    pb::GroupDelta delta = Delta(change.group);
    delta.set_snapshot(true);
    Tell(delta);
  }
  if (!node_->stopping) StartScope();
}

// -------------------------------------------------------- to the coordinator

pb::GroupDelta Groups::Delta(const std::string& group) const {
  const wire::NodeIdentity self = node_->identity();
  pb::GroupDelta delta;
  delta.set_node_id(self.node_id);
  delta.set_incarnation(self.incarnation);
  delta.set_group_seq(seq_);
  delta.set_group(group);
  return delta;
}

void Groups::Tell(const pb::GroupDelta& delta) {
  pb::ControlRequest request;
  *request.mutable_group_delta() = delta;
  request.mutable_group_delta()->set_group_seq(++seq_);
  node_->control.Send(request);
}

void Groups::OnLocal(const GroupChange& change) {
  pb::GroupDelta delta = Delta(change.group);
  if (change.kind == GroupChange::Kind::kJoin) {
    table_.Join(change.group, change.pids);
    for (const Pid& pid : change.pids) delta.add_joined(pid.id);
  } else {
    table_.Leave(change.group, change.pids);
    for (const Pid& pid : change.pids) delta.add_left(pid.id);
  }
  Tell(delta);
}

void Groups::OnSession() {
  listed_.clear();
  pb::ControlRequest request;
  request.mutable_group_interest()->add_add("");  // all
  node_->control.Send(request);
}

std::vector<pb::GroupDelta> Groups::Snapshot() const {
  std::vector<pb::GroupDelta> deltas;
  for (const std::string& group : table_.WhichLocalGroups()) {
    pb::GroupDelta& delta = deltas.emplace_back(Delta(group));
    delta.set_snapshot(true);
    for (const Pid& pid : table_.LocalMembers(group)) delta.add_joined(pid.id);
  }
  return deltas;
}

// ------------------------------------------------------ from the coordinator

void Groups::OnDelta(const pb::GroupDelta& delta) {
  const wire::NodeIdentity from{delta.node_id(), delta.incarnation()};
  if (from.node_id == 0 || from.node_id == node_->identity().node_id) return;
  std::set<std::string>& listed = listed_[{from.node_id, from.incarnation}];
  PgNews news{.node_id = from.node_id, .incarnation = from.incarnation, .group = delta.group()};
  const auto send = [&](PgNews::Kind kind, const auto& serials) {
    news.kind = kind;
    news.pids.clear();
    for (uint64_t serial : serials) news.pids.push_back({from.node_id, from.incarnation, serial});
    if (scope_) node_->deps.runtime->Send(scope_, Payload::Local(news));
  };
  if (delta.snapshot() && delta.group().empty()) {  // the end of its list
    for (const std::string& group : table_.GroupsOf(from.node_id, from.incarnation)) {
      if (listed.contains(group)) continue;
      news.group = group;
      send(PgNews::Kind::kMembers, delta.joined());
      table_.Replace(from.node_id, from.incarnation, group, {});
    }
    return;
  }
  listed.insert(delta.group());
  if (delta.snapshot()) {
    send(PgNews::Kind::kMembers, delta.joined());
    table_.Replace(from.node_id, from.incarnation, news.group, news.pids);
    return;
  }
  if (delta.joined_size() > 0) {
    send(PgNews::Kind::kJoined, delta.joined());
    table_.Join(news.group, news.pids);
  }
  if (delta.left_size() > 0) {
    send(PgNews::Kind::kLeft, delta.left());
    table_.Leave(news.group, news.pids);
  }
}

std::vector<wire::NodeIdentity> Groups::Others() const {
  std::set<std::pair<uint32_t, uint32_t>> nodes;
  for (const auto& [group, pids] : table_.All()) {
    for (const Pid& pid : pids) {
      if (!pid.local()) nodes.emplace(pid.node_id, pid.incarnation);
    }
  }
  std::vector<wire::NodeIdentity> ids;
  for (const auto& [node_id, incarnation] : nodes) ids.push_back({node_id, incarnation});
  return ids;
}

void Groups::OnNodeGone(wire::NodeIdentity id) {
  listed_.erase({id.node_id, id.incarnation});
  table_.ForgetNode(id.node_id, id.incarnation);
  if (!scope_) return;
  node_->deps.runtime->Send(scope_, Payload::Local(PgNews{.kind = PgNews::Kind::kNodeGone,
                                                          .node_id = id.node_id,
                                                          .incarnation = id.incarnation}));
}

void Groups::OnView(const ClusterView& view) {
  for (const wire::NodeIdentity& id : Others()) {
    const ClusterView::Member* member = view.Find(id.node_id);
    if (member == nullptr || member->gone() || member->id != id) OnNodeGone(id);
  }
}

void Groups::OnMembershipEnded() {
  for (const wire::NodeIdentity& id : Others()) OnNodeGone(id);
}

// ------------------------------------------------------------------- targets

absl::StatusOr<Pid> Groups::Pick(const Target::Group& target) const {
  const wire::NodeIdentity self = node_->identity();
  std::vector<Pid> members = table_.Members(target.group);
  if (members.empty()) {
    return MakeError("GROUP_EMPTY", fmt::format("the group \"{}\" has no member", target.group),
                     {{"group", target.group}});
  }
  for (Pid& pid : members) pid = wire::Export(pid, self);
  GroupPick pick{.selection = target.selection, .hash_key = target.hash_key, .here = self.node_id};
  // Of processes elsewhere nothing is known: they are taken for idle.
  pick.load = [this, self](const Pid& pid) -> uint64_t {
    const Pid here = wire::Import(pid, self);
    if (!here.local()) return 0;
    const std::optional<ProcessSnapshot> process = node_->deps.runtime->Look(here);
    return process ? process->mailbox_length : 0;
  };
  return wire::Import(PickMember(members, pick, node_->deps.random), self);
}

}  // namespace banyan

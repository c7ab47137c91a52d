#include "server/coordinator/resolver.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"

namespace banyan {

void Resolver::Resolve(const Target& target, Instant deadline, Reply<ResolvedTarget> done) {
  if (const auto* by_pid = std::get_if<Target::ByPid>(&target.kind)) {
    Pid pid = by_pid->pid;
    if (!by_pid->node.empty()) {
      const Member* member = core_->members.Find(by_pid->node);
      if (member == nullptr) {
        return done(MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\"", by_pid->node),
                              {{"node", by_pid->node}}));
      }
      pid.node_id = member->node_id();
    }
    return ToPid(pid, done);
  }
  if (const auto* local = std::get_if<Target::LocalName>(&target.kind)) {
    const Member* member = core_->members.Find(local->node);
    if (member == nullptr || member->gone()) {
      return done(MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\"", local->node),
                            {{"node", local->node}}));
    }
    ResolvedTarget found;
    found.node = member->name();
    found.address = member->record.address();
    found.local_name = local->name;
    return done(std::move(found));
  }
  if (const auto* path = std::get_if<Target::ChildPath>(&target.kind)) {
    return ToPath(*path, deadline, std::move(done));
  }
  if (const auto* by_name = std::get_if<Target::Name>(&target.kind)) {
    if (Child* child = core_->names.ChildOf(by_name->name))
      return ToChild(child, {}, deadline, std::move(done));
    if (const v1::NameEntry* entry = core_->names.Dynamic(by_name->name)) {
      return ToPid(wire::FromProto(entry->pid(), {}), done);
    }
    if (core_->tree.Root(by_name->name) != nullptr) {
      return done(MakeError(
          "NOPROC",
          fmt::format("\"{}\" is a cluster-wide supervisor: it has no process", by_name->name),
          {{"target", by_name->name}}));
    }
    return done(MakeError("NAME_NOT_REGISTERED",
                          fmt::format("nobody has the name \"{}\"", by_name->name),
                          {{"name", by_name->name}}));
  }
  absl::StatusOr<Pid> member = core_->groups.Pick(std::get<Target::Group>(target.kind));
  if (!member.ok()) return done(member.status());
  ToPid(*member, done);
}

void Resolver::ToPid(const Pid& pid, const Reply<ResolvedTarget>& done) {
  const Member* member = core_->members.FindLive(pid.node_id, pid.incarnation);
  if (member == nullptr) {
    return done(MakeError("NOPROC", fmt::format("no live process {}", FormatPid(pid)),
                          {{"target", FormatPid(pid)}}));
  }
  ResolvedTarget found;
  found.node = member->name();
  found.address = member->record.address();
  found.pid = pid;
  done(std::move(found));
}

// The longest part of the path that the coordinator knows; a local supervisor's node resolves the
// rest.
void Resolver::ToPath(const Target::ChildPath& path, Instant deadline, Reply<ResolvedTarget> done) {
  ClusterSupervisor* sup = core_->tree.Root(path.supervisor);
  if (sup == nullptr) {
    // A local supervisor under a registered name.
    if (Child* child = core_->names.ChildOf(path.supervisor)) {
      return ToChild(child, path.child_ids, deadline, std::move(done));
    }
    if (const v1::NameEntry* entry = core_->names.Dynamic(path.supervisor)) {
      return ToPid(wire::FromProto(entry->pid(), {}),
                   [rest = path.child_ids, done](absl::StatusOr<ResolvedTarget> r) {
                     if (r.ok()) r->rest = rest;
                     done(std::move(r));
                   });
    }
    return done(MakeError("NAME_NOT_REGISTERED",
                          fmt::format("no supervisor is called \"{}\"", path.supervisor),
                          {{"name", path.supervisor}}));
  }
  for (size_t i = 0; i < path.child_ids.size(); ++i) {
    Child* child = core_->tree.FindById(sup, path.child_ids[i]);
    if (child == nullptr) {
      return done(MakeError(
          "CHILD_NOT_FOUND",
          fmt::format("supervisor \"{}\" has no child \"{}\"", sup->path_key, path.child_ids[i]),
          {{"supervisor", sup->path_key}, {"childId", path.child_ids[i]}}));
    }
    if (child->nested == nullptr) {
      std::vector<std::string> rest(path.child_ids.begin() + i + 1, path.child_ids.end());
      return ToChild(child, std::move(rest), deadline, std::move(done));
    }
    sup = child->nested.get();
  }
  done(MakeError(
      "NOPROC",
      fmt::format("\"{}\" is a cluster-wide supervisor: it has no process", sup->path_key),
      {{"target", sup->path_key}}));
}

ResolvedTarget Resolver::At(const Child* child, std::vector<std::string> rest) const {
  ResolvedTarget found;
  found.node = child->node;
  if (const Member* member = core_->members.Find(child->node))
    found.address = member->record.address();
  found.pid = child->pid;
  found.rest = std::move(rest);
  found.fence = child->fence;
  return found;
}

void Resolver::ToChild(Child* child, std::vector<std::string> rest, Instant deadline,
                       Reply<ResolvedTarget> done) {
  if (child->assigned == Assigned::kRunning && child->pid) return done(At(child, std::move(rest)));
  if (!ComesBack(child)) {
    return done(MakeError("NOPROC", fmt::format("child {} is not running", child->path_key),
                          {{"target", child->path_key}}));
  }
  const uint64_t id = ++last_;
  Waiter& waiter = waiting_[child->path_key][id];
  waiter.rest = std::move(rest);
  waiter.done = std::move(done);
  waiter.timer = core_->At(deadline, [this, path = child->path_key, id] {
    auto it = waiting_.find(path);
    if (it == waiting_.end()) return;
    auto entry = it->second.extract(id);
    if (it->second.empty()) waiting_.erase(it);
    if (entry.empty()) return;
    entry.mapped().done(MakeError("CHILD_RESTARTING",
                                  fmt::format("child {} was not running before the deadline", path),
                                  {{"target", path}}));
  });
}

void Resolver::OnChildStarted(Child* child) {
  auto entry = waiting_.extract(child->path_key);
  if (entry.empty()) return;
  for (auto& [id, waiter] : entry.mapped()) {
    core_->Cancel(waiter.timer);
    waiter.done(At(child, std::move(waiter.rest)));
  }
}

bool Resolver::ComesBack(const Child* child) const {
  const ChildRecord* record = child->supervisor->planner->Find(child->key);
  if (record == nullptr || child->supervisor->failed) return false;
  // Members of a group restart are started again.
  if (record->state == ChildState::kUndefined) return record->in_group;
  const bool poisoned = child->assigned == Assigned::kNone && record->state == ChildState::kRunning;
  return !poisoned;
}

void Resolver::OnChildDown(Child* child) {
  if (!waiting_.contains(child->path_key)) return;
  core_->reconciler.Do([this, path = child->path_key] {
    Child* c = core_->tree.FindChild(path);
    if (c == nullptr || ComesBack(c)) return;
    Fail(path, MakeError("NOPROC", fmt::format("child {} was stopped", path), {{"target", path}}));
  });
}

void Resolver::OnChildGone(Child* child) {
  Fail(child->path_key, MakeError("NOPROC", fmt::format("child {} is gone", child->path_key),
                                  {{"target", child->path_key}}));
}

void Resolver::Fail(const std::string& path_key, const absl::Status& status) {
  auto entry = waiting_.extract(path_key);
  if (entry.empty()) return;
  for (auto& [id, waiter] : entry.mapped()) {
    core_->Cancel(waiter.timer);
    waiter.done(status);
  }
}

}  // namespace banyan

#include "server/coordinator/tree.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "server/coordinator/core.h"

namespace banyan {
std::string PathKey(const std::vector<std::string>& path) {
  std::string key;
  for (size_t i = 0; i < path.size(); ++i) {
    if (i > 0) key += '/';
    for (char c : path[i]) {
      // Only the root's name may have a '/', and no name has a '%'.
      if (c == '/') {
        key += "%2F";
      } else {
        key += c;
      }
    }
  }
  return key;
}

// ------------------------------------------------------------------- finding

ClusterSupervisor* Tree::Root(const std::string& name) {
  auto it = roots_.find(name);
  return it == roots_.end() ? nullptr : it->second.get();
}

Child* Tree::FindChild(const std::string& path_key) {
  auto it = by_path_.find(path_key);
  return it == by_path_.end() ? nullptr : it->second;
}

ClusterSupervisor* Tree::FindSupervisor(const std::string& path_key) {
  auto it = supervisors_.find(path_key);
  return it == supervisors_.end() ? nullptr : it->second;
}

absl::StatusOr<ClusterSupervisor*> Tree::Resolve(const Target& target) {
  if (const auto* by_name = std::get_if<Target::Name>(&target.kind)) {
    if (ClusterSupervisor* root = Root(by_name->name)) return root;
    if (core_->names.Known(by_name->name)) {
      return MakeError(
          "NOT_A_SUPERVISOR",
          fmt::format("\"{}\" is a process, not a cluster-wide supervisor", by_name->name),
          {{"local", "true"}});
    }
    return MakeError("NAME_NOT_REGISTERED",
                     fmt::format("no supervisor is called \"{}\"", by_name->name),
                     {{"name", by_name->name}});
  }
  if (const auto* by_path = std::get_if<Target::ChildPath>(&target.kind)) {
    std::vector<std::string> path{by_path->supervisor};
    ClusterSupervisor* sup = Root(by_path->supervisor);
    if (sup == nullptr && core_->names.Known(by_path->supervisor)) {
      return MakeError("NOT_A_SUPERVISOR",
                       fmt::format("\"{}\" is a process on a node, not a cluster-wide supervisor",
                                   by_path->supervisor),
                       {{"local", "true"}});
    }
    if (sup == nullptr) {
      return MakeError(
          "NAME_NOT_REGISTERED",
          fmt::format("no cluster-wide supervisor is called \"{}\"", by_path->supervisor),
          {{"name", by_path->supervisor}});
    }
    for (const std::string& id : by_path->child_ids) {
      Child* child = FindById(sup, id);
      if (child == nullptr) {
        return MakeError("CHILD_NOT_FOUND",
                         fmt::format("supervisor \"{}\" has no child \"{}\"", sup->path_key, id),
                         {{"supervisor", sup->path_key}, {"childId", id}});
      }
      if (child->nested == nullptr) {
        return MakeError("NOT_A_SUPERVISOR",
                         fmt::format("\"{}\" is a process on a node, not a cluster-wide supervisor",
                                     child->path_key),
                         {{"local", "true"}});
      }
      sup = child->nested.get();
    }
    return sup;
  }
  return MakeError("NOT_A_SUPERVISOR",
                   "a cluster-wide supervisor is named by its name or by its place in a tree",
                   {{"local", "true"}});
}

Child* Tree::FindById(ClusterSupervisor* sup, const std::string& id) {
  ChildKey key = kNoChild;
  if (!sup->planner->simple()) {
    const ChildRecord* record = sup->planner->FindById(id);
    if (record != nullptr) key = record->key;
  } else if (auto it = sup->dynamic_ids.find(id); it != sup->dynamic_ids.end()) {
    key = it->second;
  } else if (auto pid = ParsePid(id); pid.ok()) {
    if (Member* member = core_->members.Find(pid->node)) pid->pid.node_id = member->node_id();
    const ChildRecord* record = sup->planner->FindByPid(pid->pid);
    if (record != nullptr) key = record->key;
  }
  auto it = sup->children.find(key);
  return it == sup->children.end() ? nullptr : it->second.get();
}

void Tree::ForEach(const std::function<void(ClusterSupervisor*)>& fn) {
  std::function<void(ClusterSupervisor*)> visit = [&](ClusterSupervisor* sup) {
    fn(sup);
    for (auto& [key, child] : sup->children) {
      if (child->nested) visit(child->nested.get());
    }
  };
  for (auto& [name, root] : roots_) visit(root.get());
}

// ------------------------------------------------------------------ changing

void Tree::MakePlanner(ClusterSupervisor* sup) {
  SupervisorPlanner::Options options;
  options.default_backoff = RestartBackoff{};
  options.random = core_->deps.random;
  options.parallel_stop = sup->spec->parallel_stop;
  std::shared_ptr<const ChildSpec> made_from;
  if (sup->spec->child_template)
    made_from = std::make_shared<const ChildSpec>(*sup->spec->child_template);
  sup->planner =
      std::make_unique<SupervisorPlanner>(sup->spec->flags, options, std::move(made_from));
  sup->head_seen = 0;
}

void Tree::Index(ClusterSupervisor* sup) {
  sup->path_key = PathKey(sup->path);
  supervisors_[sup->path_key] = sup;
}

ClusterSupervisor* Tree::AddRoot(const std::string& name, const SupervisorSpec& spec) {
  auto sup = std::make_unique<ClusterSupervisor>();
  sup->path = {name};
  auto kept = std::make_shared<SupervisorSpec>(spec);
  kept->children.clear();
  sup->spec = std::move(kept);
  sup->start_time = core_->wall();
  MakePlanner(sup.get());
  Index(sup.get());
  auto& slot = roots_[name];
  slot = std::move(sup);
  TouchHeader(slot.get());
  return slot.get();
}

ClusterSupervisor* Tree::AddNested(Child* parent) {
  parent->nested = std::make_unique<ClusterSupervisor>();
  ClusterSupervisor* sup = parent->nested.get();
  sup->path = parent->path;
  sup->parent = parent;
  auto kept = std::make_shared<SupervisorSpec>(*parent->spec->supervisor);
  kept->children.clear();
  sup->spec = std::move(kept);
  sup->start_time = core_->wall();
  MakePlanner(sup);
  Index(sup);
  TouchHeader(sup);
  return sup;
}

Child* Tree::Ensure(ClusterSupervisor* sup, const ChildRecord& record) {
  auto& slot = sup->children[record.key];
  if (slot == nullptr) {
    slot = std::make_unique<Child>();
    slot->supervisor = sup;
    slot->key = record.key;
    slot->order = ++sup->last_order;
    slot->spec = record.spec;
    slot->path = sup->path;
    slot->path.push_back(record.spec->id);
    slot->path_key = PathKey(slot->path);
    by_path_[slot->path_key] = slot.get();
    if (sup->planner->simple()) sup->dynamic_ids[record.spec->id] = record.key;
  }
  return slot.get();
}

void Tree::RemoveChild(Child* child) {
  ClusterSupervisor* sup = child->supervisor;
  if (child->nested) RemoveSupervisor(child->nested.get());
  if (!child->is_new) {
    core_->journal.Delete(fmt::format("child/{}/spec", child->path_key));
    core_->journal.Delete(fmt::format("child/{}/asg", child->path_key));
  }
  core_->Cancel(child->retry_timer);
  core_->Cancel(child->lost_timer);
  if (FindChild(child->path_key) == child) by_path_.erase(child->path_key);
  if (auto it = sup->dynamic_ids.find(child->spec->id);
      it != sup->dynamic_ids.end() && it->second == child->key) {
    sup->dynamic_ids.erase(it);
  }
  sup->dirty.erase(child->key);
  auto it = sup->children.find(child->key);
  dropped_children_.push_back(std::move(it->second));
  sup->children.erase(it);
}

void Tree::RemoveSupervisor(ClusterSupervisor* sup) {
  while (!sup->children.empty()) {
    Child* child = sup->children.begin()->second.get();
    core_->reconciler.ForgetChild(child);
  }
  sup->gone = true;
  dirty_.erase(sup);
  supervisors_.erase(sup->path_key);
  core_->journal.Delete(fmt::format("sup/{}", sup->path_key));
  WriteScriptMembers(sup, {});
  if (sup->parent != nullptr) {
    Child* parent = sup->parent;
    Drop(std::move(parent->nested));
    return;
  }
  auto it = roots_.find(sup->path[0]);
  Drop(std::move(it->second));
  roots_.erase(it);
}

void Tree::Drop(std::unique_ptr<ClusterSupervisor> sup) { dropped_.push_back(std::move(sup)); }

void Tree::Sweep() {
  dropped_.clear();
  dropped_children_.clear();
}

void Tree::Touch(Child* child) {
  must_flush_ = true;
  child->supervisor->dirty.insert(child->key);
  dirty_.insert(child->supervisor);
}

void Tree::TouchHeader(ClusterSupervisor* sup) {
  must_flush_ = true;
  sup->header_dirty = true;
  dirty_.insert(sup);
}

void Tree::TouchLazily(Child* child) {
  child->supervisor->dirty.insert(child->key);
  dirty_.insert(child->supervisor);
  FlushLater();
}

void Tree::TouchHeaderLazily(ClusterSupervisor* sup) {
  sup->header_dirty = true;
  dirty_.insert(sup);
  FlushLater();
}

void Tree::FlushLater() {
  if (lazy_timer_) return;
  lazy_timer_ = true;
  core_->After(absl::Seconds(1), [this] {
    lazy_timer_ = false;
    must_flush_ = true;
  });
}

}  // namespace banyan

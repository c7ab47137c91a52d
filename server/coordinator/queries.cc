#include "server/coordinator/queries.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "server/coordinator/core.h"
#include "server/coordinator/page.h"
#include "server/coordinator/snapshot.h"
#include "server/wire/child_spec.h"

namespace banyan {
namespace {

constexpr size_t kTreeMax = 10'000;

const Child* ChildOf(const ClusterSupervisor* sup, const ChildRecord* record) {
  auto it = sup->children.find(record->key);
  return it == sup->children.end() ? nullptr : it->second.get();
}

bool FillTree(const Coordinator::Core& core, const ClusterSupervisor* sup, uint32_t depth,
              size_t* budget, v1::TreeNode* node) {
  *node->mutable_supervisor() = EncodeSupervisor(core, *sup);
  const ChildTable& table = sup->planner->children();
  for (const ChildRecord* r = table.First(); r != nullptr; r = table.Next(r)) {
    const Child* child = ChildOf(sup, r);
    if (child == nullptr) continue;
    if (depth == 1 && child->nested != nullptr) {
      v1::TreeNode* leaf = node->add_children();
      *leaf->mutable_child() = EncodeChild(core, *child, false);
      *leaf->mutable_supervisor() = EncodeSupervisor(core, *child->nested);
      continue;
    }
    if ((*budget)-- == 0) return false;
    v1::TreeNode* below = node->add_children();
    *below->mutable_child() = EncodeChild(core, *child, false);
    if (child->nested == nullptr) continue;
    if (!FillTree(core, child->nested.get(), depth == 0 ? 0 : depth - 1, budget, below))
      return false;
  }
  return true;
}

v1::ChildInfo RootAsChild(const ClusterSupervisor& sup) {
  v1::ChildInfo info;
  info.set_id(sup.path.back());
  info.set_type(v1::CHILD_TYPE_SUPERVISOR);
  info.set_state(sup.failed                     ? v1::CHILD_STATE_FAILED
                 : sup.planner->shutting_down() ? v1::CHILD_STATE_STOPPING
                 : sup.started                  ? v1::CHILD_STATE_RUNNING
                                                : v1::CHILD_STATE_STARTING);
  *info.mutable_start_time() = wire::ToProto(sup.start_time);
  if (sup.exit_reason) *info.mutable_last_exit_reason() = wire::ToProto(*sup.exit_reason, {});
  if (sup.failed) info.set_state_reason("reached_max_restart_intensity");
  return info;
}

}  // namespace

absl::StatusOr<v1::ChildSpec> Queries::GetChildSpec(const Target& target, const std::string& id) {
  BANYAN_ASSIGN_OR_RETURN(ClusterSupervisor * sup, core_->tree.Resolve(target));
  const Child* child = core_->tree.FindById(sup, id);
  if (child == nullptr) {
    return MakeError("CHILD_NOT_FOUND",
                     fmt::format("supervisor {} has no child \"{}\"", sup->path_key, id),
                     {{"supervisor", sup->path_key}, {"childId", id}});
  }
  v1::ChildSpec spec;
  wire::EncodeChildSpec(*child->spec, &spec);
  return spec;
}

absl::StatusOr<v1::ListChildrenResponse> Queries::ListChildren(
    const Target& target, const PageArgs& page, bool include_spec,
    const std::function<bool(const v1::ChildInfo&)>& filter) {
  BANYAN_ASSIGN_OR_RETURN(ClusterSupervisor * sup, core_->tree.Resolve(target));
  uint64_t after = 0;
  const char* end = page.token.data() + page.token.size();
  if (!page.token.empty() && std::from_chars(page.token.data(), end, after).ptr != end) {
    return MakeError("PAGE_TOKEN_INVALID", "not a page token of ListChildren");
  }
  v1::ListChildrenResponse response;
  const ChildTable& table = sup->planner->children();
  // The token is the last child's place in the start order.
  const ChildRecord* r = table.First();
  if (after != 0) {
    const ChildRecord* last = table.Find(after);
    // Deleted meanwhile: go on after the keys that came before it.
    if (last != nullptr) {
      r = table.Next(last);
    } else {
      while (r != nullptr && r->key <= after) r = table.Next(r);
    }
  }
  ChildKey seen = 0;
  for (; r != nullptr; r = table.Next(r)) {
    if (static_cast<size_t>(response.children_size()) == PageSize(page)) {
      response.set_next_page_token(fmt::format("{}", seen));
      break;
    }
    seen = r->key;
    const Child* child = ChildOf(sup, r);
    if (child == nullptr) continue;
    v1::ChildInfo info = EncodeChild(*core_, *child, include_spec);
    if (!filter || filter(info)) *response.add_children() = std::move(info);
  }
  return response;
}

absl::StatusOr<v1::ChildCounts> Queries::CountChildren(const Target& target) {
  BANYAN_ASSIGN_OR_RETURN(ClusterSupervisor * sup, core_->tree.Resolve(target));
  return EncodeCounts(*sup);
}

absl::StatusOr<v1::ListSupervisorsResponse> Queries::ListSupervisors(
    const PageArgs& page, bool all_levels,
    const std::function<bool(const v1::SupervisorInfo&)>& filter) {
  std::map<std::string, ClusterSupervisor*> all;
  core_->tree.ForEach([&](ClusterSupervisor* sup) {
    if (all_levels || sup->parent == nullptr) all[sup->path_key] = sup;
  });
  v1::ListSupervisorsResponse response;
  response.set_next_page_token(TakePage(all, page, [&](const std::string&, ClusterSupervisor* sup) {
    v1::SupervisorInfo info = EncodeSupervisor(*core_, *sup);
    if (filter && !filter(info)) return false;
    *response.add_supervisors() = std::move(info);
    return true;
  }));
  return response;
}

absl::StatusOr<v1::GetTreeResponse> Queries::GetTree(const Target& target, uint32_t depth) {
  BANYAN_ASSIGN_OR_RETURN(ClusterSupervisor * sup, core_->tree.Resolve(target));
  v1::GetTreeResponse response;
  size_t budget = kTreeMax;
  v1::TreeNode* root = response.mutable_root();
  *root->mutable_child() =
      sup->parent != nullptr ? EncodeChild(*core_, *sup->parent, false) : RootAsChild(*sup);
  if (!FillTree(*core_, sup, depth, &budget, root)) {
    return MakeError("TREE_TOO_LARGE", "more than 10000 children: list them level by level");
  }
  return response;
}

v1::ListNodesResponse Queries::ListNodes(const PageArgs& page, bool show_gone,
                                         const std::function<bool(const v1::NodeInfo&)>& filter) {
  v1::ListNodesResponse response;
  response.set_next_page_token(TakePage(
      core_->members.all(), page, [&](const std::string&, const std::unique_ptr<Member>& member) {
        if (member->gone() && !show_gone) return false;
        v1::NodeInfo info = EncodeNode(*core_, *member, /*for_view=*/false);
        if (filter && !filter(info)) return false;
        *response.add_nodes() = std::move(info);
        return true;
      }));
  return response;
}

absl::StatusOr<v1::NodeInfo> Queries::GetNode(const std::string& name) {
  const Member* member = core_->members.Find(name);
  if (member == nullptr)
    return MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\"", name), {{"node", name}});
  return EncodeNode(*core_, *member, /*for_view=*/false);
}

v1::GetClusterResponse Queries::GetCluster() {
  v1::GetClusterResponse response;
  response.set_name(core_->options.cluster_name);
  for (unsigned char c : core_->meta.cluster_id())
    response.mutable_id()->append(fmt::format("{:02x}", c));
  response.set_coordinator_leader(core_->options.advertise_address);
  response.set_coordinator_epoch(core_->epoch);
  response.set_coordinator_available(!core_->journal.full());
  uint64_t actors = 0, supervisors = 0;
  for (const auto& [name, member] : core_->members.all()) {
    ++(*response.mutable_nodes_by_state())[v1::NodeState_Name(member->shown_state())];
    if (!member->gone()) actors += member->load.actors();
  }
  core_->tree.ForEach([&](ClusterSupervisor*) { ++supervisors; });
  response.set_actors(actors);
  response.set_supervisors(supervisors);
  response.set_pending_children(core_->reconciler.pending());
  response.set_restarts_last_minute(core_->reconciler.restarts_last_minute());
  response.set_deaths_held(core_->lease_keeper.deaths_held());
  response.set_recovering(core_->names.recovering());
  response.set_level(core_->meta.level());
  response.set_possible_level(core_->node_requests.PossibleLevel());
  response.set_safe_mode(core_->safe_mode.on());
  for (std::string& alarm : core_->safe_mode.Alarms()) response.add_alarms(std::move(alarm));
  if (core_->journal.full()) response.add_alarms(kStoreFullAlarm);
  for (std::string& alarm : core_->lease_keeper.Alarms()) response.add_alarms(std::move(alarm));
  return response;
}

v1::ListModulesResponse Queries::ListModules(const PageArgs& page) {
  std::map<std::string, v1::ModuleOffer> offers;
  for (const auto& [name, member] : core_->members.all()) {
    if (member->gone()) continue;
    for (const v1::ModuleInfo& module : member->modules) {
      v1::ModuleOffer& offer = offers[fmt::format("{} {}", module.name(), module.version())];
      *offer.mutable_module() = module;
      offer.add_nodes(name);
    }
  }
  v1::ListModulesResponse response;
  response.set_next_page_token(
      TakePage(offers, page, [&](const std::string&, const v1::ModuleOffer& offer) {
        *response.add_modules() = offer;
        return true;
      }));
  return response;
}

absl::StatusOr<Coordinator::WatchId> Queries::WatchEvents(const WatchArgs& args) {
  std::vector<std::string> below;
  std::optional<std::vector<v1::SupervisorEvent>> snapshot;
  ClusterSupervisor* top = nullptr;
  if (args.supervisor) {
    BANYAN_ASSIGN_OR_RETURN(top, core_->tree.Resolve(*args.supervisor));
    below = top->path;
  }
  const auto accepts = [below, kinds = args.kinds,
                        filter = args.filter](const v1::SupervisorEvent& event) {
    if (event.path_size() < static_cast<int>(below.size())) return false;
    if (!std::equal(below.begin(), below.end(), event.path().begin())) return false;
    const bool kind_fits = kinds.empty() ||
                           event.kind() == v1::SupervisorEvent::KIND_CHILD_PRESENT ||
                           std::find(kinds.begin(), kinds.end(), event.kind()) != kinds.end();
    return kind_fits && (!filter || !event.has_child() || filter(event.child()));
  };
  if (args.send_snapshot) {
    snapshot.emplace();
    core_->tree.ForEach([&](ClusterSupervisor* sup) {
      const ChildTable& table = sup->planner->children();
      for (const ChildRecord* r = table.First(); r != nullptr; r = table.Next(r)) {
        const Child* child = ChildOf(sup, r);
        if (child == nullptr) continue;
        v1::SupervisorEvent event;
        event.set_kind(v1::SupervisorEvent::KIND_CHILD_PRESENT);
        *event.mutable_time() = core_->wall_proto();
        for (const std::string& name : child->path) event.add_path(name);
        *event.mutable_child() = EncodeChild(*core_, *child, false);
        if (accepts(event)) snapshot->push_back(std::move(event));
      }
    });
  }
  return core_->events.Open(args.resume_token, std::move(snapshot), accepts);
}

absl::StatusOr<Coordinator::WatchId> Queries::WatchCluster(const WatchArgs& args) {
  std::optional<std::vector<v1::ClusterEvent>> snapshot;
  if (args.send_snapshot) {
    snapshot.emplace();
    for (const auto& [name, member] : core_->members.all()) {
      if (member->gone()) continue;
      v1::ClusterEvent event;
      event.set_kind(v1::ClusterEvent::KIND_NODE_PRESENT);
      *event.mutable_node() = EncodeNode(*core_, *member, false);
      snapshot->push_back(std::move(event));
    }
  }
  return core_->cluster_events.Open(args.resume_token, std::move(snapshot), nullptr);
}

}  // namespace banyan

#include "server/coordinator/coordinator.h"

#include <utility>

#include "common/base/error.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

absl::Status Starting() {
  return MakeError("COORDINATOR_UNAVAILABLE", "the coordinator is starting");
}

// A read: `query` runs in a turn, and its answer goes out when all that it may have seen is
// durable.
template <typename T, typename Query>
void Read(CoordinatorCore* core, Reply<T> done, Query query) {
  core->Post([core, done = std::move(done), query = std::move(query)] {
    if (!core->started) return done(Starting());
    core->journal.AfterUnlessFull([done, answer = absl::StatusOr<T>(query())] { done(answer); });
  });
}

}  // namespace

Coordinator::Coordinator(Deps deps, CoordinatorOptions options)
    : core_(std::make_shared<Core>(deps, std::move(options))) {}
Coordinator::~Coordinator() = default;

void Coordinator::Start(StatusReply ready) {
  core_->Post(
      [core = core_.get(), ready = std::move(ready)]() mutable { core->Start(std::move(ready)); });
}

// ------------------------------------------------------------------- changes

void Coordinator::StartSupervisor(StartSupervisorArgs args, Reply<v1::SupervisorInfo> done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->supervisor_requests.StartSupervisor(args, done);
  });
}

void Coordinator::StopSupervisor(Target supervisor, ExitReason reason, std::string request_id,
                                 Reply<ExitReason> done) {
  core_->Post([core = core_.get(), supervisor = std::move(supervisor), reason = std::move(reason),
               request_id = std::move(request_id), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->supervisor_requests.StopSupervisor(supervisor, reason, request_id, done);
  });
}

void Coordinator::StartChild(StartChildArgs args, Reply<v1::StartChildResponse> done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->supervisor_requests.StartChild(args, done);
  });
}

void Coordinator::TerminateChild(ChildArgs args, Reply<v1::TerminateChildResponse> done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->supervisor_requests.TerminateChild(args, done);
  });
}

void Coordinator::RestartChild(ChildArgs args, bool running_too,
                               Reply<v1::RestartChildResponse> done) {
  core_->Post([core = core_.get(), args = std::move(args), running_too, done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->supervisor_requests.RestartChild(args, running_too, done);
  });
}

void Coordinator::DeleteChild(ChildArgs args, StatusReply done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->supervisor_requests.DeleteChild(args, done);
  });
}

void Coordinator::Cordon(NodeArgs args, Reply<v1::NodeInfo> done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->cluster_requests.SetCordon(args, true, done);
  });
}

void Coordinator::Uncordon(NodeArgs args, Reply<v1::NodeInfo> done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->cluster_requests.SetCordon(args, false, done);
  });
}

void Coordinator::ConfirmDead(NodeArgs args, uint32_t incarnation, bool force,
                              Reply<v1::NodeInfo> done) {
  core_->Post(
      [core = core_.get(), args = std::move(args), incarnation, force, done = std::move(done)] {
        if (!core->started) return done(Starting());
        core->cluster_requests.ConfirmDead(args, incarnation, force, done);
      });
}

void Coordinator::RemoveNode(NodeArgs args, bool allow_missing, StatusReply done) {
  core_->Post([core = core_.get(), args = std::move(args), allow_missing, done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->cluster_requests.RemoveNode(args, allow_missing, done);
  });
}

void Coordinator::Drain(NodeArgs args, absl::Duration deadline, uint32_t max_parallel,
                        bool then_leave, Reply<v1::NodeInfo> done) {
  core_->Post([core = core_.get(), args = std::move(args), deadline, max_parallel, then_leave,
               done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->cluster_requests.Drain(args, deadline, max_parallel, then_leave, done);
  });
}

void Coordinator::Rebalance(bool validate_only, uint32_t max_moves, std::string request_id,
                            Reply<v1::RebalanceResponse> done) {
  core_->Post([core = core_.get(), validate_only, max_moves, request_id = std::move(request_id),
               done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->cluster_requests.Rebalance(validate_only, max_moves, request_id, done);
  });
}

void Coordinator::UpdateNode(v1::NodeInfo node, std::vector<std::string> mask,
                             std::string request_id, Reply<v1::NodeInfo> done) {
  core_->Post([core = core_.get(), node = std::move(node), mask = std::move(mask),
               request_id = std::move(request_id), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->node_requests.Update(node, mask, request_id, done);
  });
}

void Coordinator::FinalizeUpgrade(uint32_t level, std::string request_id,
                                  Reply<v1::FinalizeUpgradeResponse> done) {
  core_->Post(
      [core = core_.get(), level, request_id = std::move(request_id), done = std::move(done)] {
        if (!core->started) return done(Starting());
        core->node_requests.Finalize(level, request_id, done);
      });
}

void Coordinator::EndSafeMode(v1::EndSafeModeRequest request, Reply<v1::EndSafeModeResponse> done) {
  core_->Post([core = core_.get(), request = std::move(request), done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->safe_mode.End(request.decision(), request.validate_only(), request.request_id(), done);
  });
}

void Coordinator::Register(RegisterArgs args, Reply<v1::NameEntry> done) {
  core_->Post([core = core_.get(), args = std::move(args), done = std::move(done)] {
    if (!core->started) return done(Starting());
    // Registering twice for the same process succeeds, so a repeated request needs no record.
    core->journal.After([done, answer = core->names.Register(args)] { done(answer); });
  });
}

void Coordinator::Unregister(UnregisterArgs args, Reply<bool> removed) {
  core_->Post([core = core_.get(), args = std::move(args), removed = std::move(removed)] {
    if (!core->started) return removed(Starting());
    core->journal.After([removed, answer = core->names.Unregister(args)] { removed(answer); });
  });
}

// --------------------------------------------------------------------- reads

void Coordinator::GetChildSpec(Target supervisor, std::string child_id, Reply<v1::ChildSpec> done) {
  Read(core_.get(), std::move(done), [core = core_.get(), supervisor, child_id] {
    return core->queries.GetChildSpec(supervisor, child_id);
  });
}

void Coordinator::ListChildren(Target supervisor, PageArgs page, bool include_spec,
                               std::function<bool(const v1::ChildInfo&)> filter,
                               Reply<v1::ListChildrenResponse> done) {
  Read(core_.get(), std::move(done), [core = core_.get(), supervisor, page, include_spec, filter] {
    return core->queries.ListChildren(supervisor, page, include_spec, filter);
  });
}

void Coordinator::CountChildren(Target supervisor, Reply<v1::ChildCounts> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), supervisor] { return core->queries.CountChildren(supervisor); });
}

void Coordinator::ListSupervisors(PageArgs page, bool all_levels,
                                  std::function<bool(const v1::SupervisorInfo&)> filter,
                                  Reply<v1::ListSupervisorsResponse> done) {
  Read(core_.get(), std::move(done), [core = core_.get(), page, all_levels, filter] {
    return core->queries.ListSupervisors(page, all_levels, filter);
  });
}

void Coordinator::GetTree(Target supervisor, uint32_t depth, Reply<v1::GetTreeResponse> done) {
  Read(core_.get(), std::move(done), [core = core_.get(), supervisor, depth] {
    return core->queries.GetTree(supervisor, depth);
  });
}

void Coordinator::WaitOperation(std::string operation_id, Instant deadline,
                                Reply<v1::WaitOperationResponse> done) {
  core_->Post([core = core_.get(), id = std::move(operation_id), deadline, done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->operations.Wait(id, deadline, done);
  });
}

void Coordinator::WatchEvents(WatchArgs args, Reply<WatchId> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), args] { return core->queries.WatchEvents(args); });
}

void Coordinator::NextEvents(WatchId watch, Reply<v1::WatchEventsResponse> done) {
  core_->Post(
      [core = core_.get(), watch, done = std::move(done)] { core->events.Next(watch, done); });
}

void Coordinator::WatchCluster(WatchArgs args, Reply<WatchId> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), args] { return core->queries.WatchCluster(args); });
}

void Coordinator::NextClusterEvents(WatchId watch, Reply<v1::WatchClusterResponse> done) {
  core_->Post([core = core_.get(), watch, done = std::move(done)] {
    core->cluster_events.Next(watch, done);
  });
}

void Coordinator::CloseWatch(WatchId watch) {
  core_->Post([core = core_.get(), watch] {
    if (core->events.Close(watch) || core->cluster_events.Close(watch)) return;
    core->names.watches().Close(watch);
  });
}

void Coordinator::WatchNames(std::string prefix, uint64_t after, Reply<WatchId> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), prefix, after] { return core->names.watches().Open(prefix, after); });
}

void Coordinator::NextNames(WatchId watch, Reply<v1::WatchNamesResponse> done) {
  core_->Post([core = core_.get(), watch, done = std::move(done)] {
    core->names.watches().Next(watch, done);
  });
}

void Coordinator::Lookup(std::string name, Reply<v1::LookupResponse> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), name]() -> absl::StatusOr<v1::LookupResponse> {
         v1::LookupResponse found = core->names.Lookup(name);
         if (found.has_entry() || found.starting()) return found;
         return MakeError("NAME_NOT_REGISTERED", "nobody has the name \"" + name + "\"",
                          {{"name", name}});
       });
}

void Coordinator::ListNames(std::string prefix, PageArgs page, Reply<v1::ListNamesResponse> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), prefix, page] { return core->names.List(prefix, page); });
}

void Coordinator::Resolve(internal::v1::ResolveRequest request, uint32_t node_id,
                          Reply<internal::v1::ResolveResponse> done) {
  Read(core_.get(), std::move(done), [core = core_.get(), request, node_id] {
    if (request.subscribe() && node_id != 0) core->names.Subscribe(request.name(), node_id);
    const v1::LookupResponse found = core->names.Lookup(request.name());
    internal::v1::ResolveResponse response;
    if (found.has_entry()) *response.mutable_entry() = found.entry();
    response.set_starting(found.starting());
    return response;
  });
}

void Coordinator::ResolveTarget(Target target, Instant deadline, Reply<ResolvedTarget> done) {
  core_->Post([core = core_.get(), target = std::move(target), deadline, done = std::move(done)] {
    if (!core->started) return done(Starting());
    core->resolver.Resolve(target, deadline, [core, done](absl::StatusOr<ResolvedTarget> found) {
      core->journal.AfterUnlessFull([done, found = std::move(found)] { done(found); });
    });
  });
}

void Coordinator::ListNodes(PageArgs page, bool show_gone,
                            std::function<bool(const v1::NodeInfo&)> filter,
                            Reply<v1::ListNodesResponse> done) {
  Read(core_.get(), std::move(done), [core = core_.get(), page, show_gone, filter] {
    return core->queries.ListNodes(page, show_gone, filter);
  });
}

void Coordinator::GetNode(std::string name, Reply<v1::NodeInfo> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), name] { return core->queries.GetNode(name); });
}

void Coordinator::GetCluster(Reply<v1::GetClusterResponse> done) {
  Read(core_.get(), std::move(done), [core = core_.get()] { return core->queries.GetCluster(); });
}

void Coordinator::ListModules(PageArgs page, Reply<v1::ListModulesResponse> done) {
  Read(core_.get(), std::move(done),
       [core = core_.get(), page] { return core->queries.ListModules(page); });
}

}  // namespace banyan

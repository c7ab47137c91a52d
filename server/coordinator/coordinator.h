#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/v1/cluster.pb.h"
#include "banyan/v1/registry.pb.h"
#include "banyan/v1/supervisors.pb.h"
#include "banyan/v1/types.pb.h"
#include "common/base/exit_reason.h"
#include "common/base/payload.h"
#include "common/base/pid.h"
#include "common/base/target.h"
#include "common/time/clock.h"
#include "common/time/instant.h"
#include "server/cluster/transport.h"
#include "server/coordinator/options.h"
#include "server/coordinator/store/store.h"
#include "server/core/child_spec.h"

namespace banyan {

// How a request's answer comes: once, on the coordinator's executor; it must not block.
template <typename T>
using Reply = std::function<void(absl::StatusOr<T>)>;
using StatusReply = std::function<void(absl::Status)>;

// A page of a list. `page_size` 0: 100; above 1000: 1000. `token` is the page's before it.
struct PageArgs {
  int32_t page_size = 0;
  std::string token;
};

// `supervisor` is a Target that must resolve to a cluster-wide supervisor: by name (a root's) or by
// child path. One that names something else is answered NOT_A_SUPERVISOR or CHILD_NOT_FOUND; one
// that resolves to a process (a local supervisor) NOT_A_SUPERVISOR with metadata "local" = "true",
// so that the caller can pass the request on to the node (ResolveTarget tells which).
struct StartSupervisorArgs {
  SupervisorSpec spec;
  std::string name;              // of a root
  std::optional<Target> parent;  // a cluster-wide supervisor to put it under, as `child_id`
  std::string child_id;
  std::string request_id;
};

struct StartChildArgs {
  Target supervisor;
  std::optional<ChildSpec> spec;    // for all strategies but simple_one_for_one
  std::vector<Payload> extra_args;  // for simple_one_for_one
  std::string request_id;
};

// For TerminateChild, DeleteChild and RestartChild. An empty `child_id` in RestartChild names the
// supervisor itself, which must be a root that gave up.
struct ChildArgs {
  Target supervisor;
  std::string child_id;
  std::string request_id;
};

struct RegisterArgs {
  std::string name;
  Pid pid;  // cluster form: node id and incarnation filled in
  std::map<std::string, std::string> metadata;
  bool exclusive = false;
  std::string request_id;
};

struct UnregisterArgs {
  std::string name;
  std::optional<Pid> pid;    // only if this process has it
  uint64_t reg_version = 0;  // only if it is this registration; 0: any
  std::string request_id;
};

// A node named by an operator.
struct NodeArgs {
  std::string name;
  std::string message;  // why, for people
  std::string request_id;
};

struct WatchArgs {
  std::optional<Target> supervisor;              // WatchEvents: only events under it
  std::vector<v1::SupervisorEvent::Kind> kinds;  // WatchEvents: only these; empty: all
  // Only children that this accepts; unset: all. Runs on the coordinator's executor.
  std::function<bool(const v1::ChildInfo&)> filter;
  std::string resume_token;
  bool send_snapshot = false;
};

// Where a target is to be sent to.
struct ResolvedTarget {
  std::string node;     // name of the hosting node
  std::string address;  // where it is reached, "host:port"
  Pid pid;              // cluster form; invalid for a node-local name, which the node resolves
  std::string local_name;
  // Child ids below `pid`, which then is a local supervisor: the node resolves the rest.
  std::vector<std::string> rest;
  Fence fence;  // of a child of a cluster-wide supervisor
};

// The cluster's one authority: members and their leases, names, and the cluster-wide supervisors
// (cluster.md 2, 5, 6). A single-threaded state machine on one executor: every method may be called
// from any thread and only posts; nothing is shared with the caller. What it must not forget is in
// the Store, so that it can be destroyed at any moment and made anew on the same store: nodes and
// children go on meanwhile and are adopted by the next one.
//
// Changes are durable before they are answered or sent to a node. It knows no gRPC and no OS: time,
// streams, disk and randomness are Deps, and the simulator runs it on virtual ones.
class Coordinator {
 public:
  struct Deps {
    Clock* clock = nullptr;  // all outlive the coordinator
    Timers* timers = nullptr;
    Executor* executor = nullptr;
    Random* random = nullptr;
    Transport* transport = nullptr;
    Store* store = nullptr;
  };

  Coordinator(Deps deps, CoordinatorOptions options);
  // On the executor, or after it has run dry. Streams are cut; what was not answered never is.
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Loads the store and begins a new term with a first, durable transaction; then `ready`.
  // Acceptors are installed at once. Streams and requests that come before it is ready are refused
  // with COORDINATOR_UNAVAILABLE; nodes dial again.
  void Start(StatusReply ready);

  // --- cluster-wide supervisors (banyan.v1.Supervisors)
  void StartSupervisor(StartSupervisorArgs args, Reply<v1::SupervisorInfo> done);
  // Answers with the reason when all children are down and the supervisor's records are gone.
  void StopSupervisor(Target supervisor, ExitReason reason, std::string request_id,
                      Reply<ExitReason> done);
  void StartChild(StartChildArgs args, Reply<v1::StartChildResponse> done);
  void TerminateChild(ChildArgs args, Reply<v1::TerminateChildResponse> done);
  void RestartChild(ChildArgs args, bool running_too, Reply<v1::RestartChildResponse> done);
  void DeleteChild(ChildArgs args, StatusReply done);
  void GetChildSpec(Target supervisor, std::string child_id, Reply<v1::ChildSpec> done);
  void ListChildren(Target supervisor, PageArgs page, bool include_spec,
                    std::function<bool(const v1::ChildInfo&)> filter,
                    Reply<v1::ListChildrenResponse> done);
  void CountChildren(Target supervisor, Reply<v1::ChildCounts> done);
  // Cluster-wide ones only; `filter` may be null.
  void ListSupervisors(PageArgs page, bool all_levels,
                       std::function<bool(const v1::SupervisorInfo&)> filter,
                       Reply<v1::ListSupervisorsResponse> done);
  // What the coordinator knows; below a child that is a local supervisor the node must be asked.
  // `depth` 0: all. More than 10,000 children: TREE_TOO_LARGE.
  void GetTree(Target supervisor, uint32_t depth, Reply<v1::GetTreeResponse> done);
  // Answers when the operation has ended, or at the deadline with `done` false.
  void WaitOperation(std::string operation_id, Instant deadline,
                     Reply<v1::WaitOperationResponse> done);

  // --- events: opened once, then pulled, one pull at a time. A pull is answered when there is
  // something, with a bookmark at the latest after `bookmark_every`; RESUME_TOKEN_EXPIRED and
  // WATCHER_TOO_SLOW end the watch. CloseWatch drops a waiting pull unanswered.
  using WatchId = uint64_t;
  void WatchEvents(WatchArgs args, Reply<WatchId> done);
  void NextEvents(WatchId watch, Reply<v1::WatchEventsResponse> done);
  void WatchCluster(WatchArgs args, Reply<WatchId> done);
  void NextClusterEvents(WatchId watch, Reply<v1::WatchClusterResponse> done);
  void CloseWatch(WatchId watch);

  // --- names (banyan.v1.Registry, Membership.Resolve)
  void Register(RegisterArgs args, Reply<v1::NameEntry> done);
  void Unregister(UnregisterArgs args, Reply<bool> removed);
  void Lookup(std::string name, Reply<v1::LookupResponse> done);
  // Registrations and releases of the names that begin with `prefix`: those there are and all later
  // ones, or those later than `after`. Ended by CloseWatch.
  void WatchNames(std::string prefix, uint64_t after, Reply<WatchId> done);
  void NextNames(WatchId watch, Reply<v1::WatchNamesResponse> done);
  void ListNames(std::string prefix, PageArgs page, Reply<v1::ListNamesResponse> done);
  // `node_id`: who asks, for `subscribe`; 0: nobody.
  void Resolve(internal::v1::ResolveRequest request, uint32_t node_id,
               Reply<internal::v1::ResolveResponse> done);

  // Where to send what is for `target` (all but groups). A child that is being started, restarted
  // or moved is waited for until `deadline`, then CHILD_RESTARTING.
  void ResolveTarget(Target target, Instant deadline, Reply<ResolvedTarget> done);

  // --- the cluster (banyan.v1.Cluster)
  // By name. `filter` may be null.
  void ListNodes(PageArgs page, bool show_gone, std::function<bool(const v1::NodeInfo&)> filter,
                 Reply<v1::ListNodesResponse> done);
  void GetNode(std::string name, Reply<v1::NodeInfo> done);
  void GetCluster(Reply<v1::GetClusterResponse> done);
  void ListModules(PageArgs page, Reply<v1::ListModulesResponse> done);
  void Cordon(NodeArgs args, Reply<v1::NodeInfo> done);
  // Ends a drain too.
  void Uncordon(NodeArgs args, Reply<v1::NodeInfo> done);
  // `incarnation` must be the present one. A node that is heard of: NODE_REACHABLE unless `force`.
  void ConfirmDead(NodeArgs args, uint32_t incarnation, bool force, Reply<v1::NodeInfo> done);
  void RemoveNode(NodeArgs args, bool allow_missing, StatusReply done);
  // Cordons the node and moves its children, `max_parallel` of a supervisor at a time (0: as many
  // as its max_unavailable says);
  // at `deadline` (infinite: never) the rest is stopped by force. Answers at once.
  void Drain(NodeArgs args, absl::Duration deadline, uint32_t max_parallel, bool then_leave,
             Reply<v1::NodeInfo> done);
  // Plans moves that even the load out, and begins with them unless `validate_only`. At most
  // `max_moves` (0: no limit); a hundredth of the children a minute.
  void Rebalance(bool validate_only, uint32_t max_moves, std::string request_id,
                 Reply<v1::RebalanceResponse> done);

  // `node`: its name and the new values of what `mask` names (see banyan.v1.UpdateNode).
  void UpdateNode(v1::NodeInfo node, std::vector<std::string> mask, std::string request_id,
                  Reply<v1::NodeInfo> done);
  // Raises the feature level; no older release may join from then on.
  void FinalizeUpgrade(uint32_t level, std::string request_id,
                       Reply<v1::FinalizeUpgradeResponse> done);
  // Decides what becomes of children that the store does not know (cluster.md 7.5).
  void EndSafeMode(v1::EndSafeModeRequest request, Reply<v1::EndSafeModeResponse> done);

  class Core;  // the state machine; for its own files and tests

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace banyan

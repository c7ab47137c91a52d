#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "server/behaviours/supervisor_requests.h"
#include "server/node/assigned_children.h"
#include "server/node/cluster_view.h"
#include "server/node/control_client.h"
#include "server/node/event_ring.h"
#include "server/node/groups.h"
#include "server/node/held_names.h"
#include "server/node/lease_client.h"
#include "server/node/node.h"
#include "server/node/report_log.h"
#include "server/node/route_cache.h"
#include "server/node/routed_calls.h"

namespace banyan {

// The node's parts and what they do for each other. On the executor, but for what says otherwise.
class Node::Core : public std::enable_shared_from_this<Node::Core> {
 public:
  Core(Deps deps, NodeOptions options, Hooks hooks);

  // --- life
  void Start();
  void Stop(absl::Duration deadline, std::function<void()> done);
  // A HelloAck was accepted.
  void OnWelcome(const internal::v1::HelloAck& ack);
  // The coordinator has declared this life DEAD.
  void OnDead();
  void Leave();

  // --- frames of the control stream
  void OnView(const internal::v1::ViewUpdate& update);
  void OnRoutes(const internal::v1::RouteUpdate& routes);
  void OnDrain(const internal::v1::Command::SetDrain& drain);
  // Everything that the coordinator must know after a new session.
  void SendResync();
  // Asks for the drain that a stop begins with, again under each new session; leaves, if that is
  // all that is left to do.
  void SendRetire();
  void AddReport(internal::v1::Report report);
  void OnChildrenChanged();
  void OnSessionLost();

  // --- targets and names
  void Resolve(Target target, Instant deadline, std::function<void(absl::StatusOr<Resolved>)> done);
  void OnStaleRoute(Pid pid);
  // Whether a process of this node has a name still that was registered for it under this number.
  bool HasName(Pid pid, uint64_t reg_version) const;
  // Any thread.
  std::optional<wire::NodeIdentity> FindNode(const std::string& name) const;

  // --- any thread
  wire::NodeIdentity identity() const;
  std::shared_ptr<const ClusterView> view() const;
  bool draining() const;
  std::vector<std::string> coordinators() const;
  v1::NodeInfo Info() const;
  v1::NodeLoad Load() const;
  std::vector<v1::ModuleInfo> Modules() const;
  // Runs `fn` on the executor if the node still lives.
  void Post(std::function<void(Core&)> fn);
  void After(absl::Duration d, std::function<void(Core&)> fn);

  const Deps deps;
  const NodeOptions options;
  const Hooks hooks;
  const absl::Time start_time;
  // Last known of the cluster and its store.
  std::string cluster_id;
  std::string store_id;
  uint64_t store_revision;  // the highest seen
  // The coordinator does not know all that it once did: the resync tells all.
  bool keep_all = false;
  void OnStoreRevision(uint64_t revision);

  PeerRouter router;
  ControlClient control;
  LeaseClient lease;
  AssignedChildren children;
  ReportLog reports;
  HeldNames names;
  Groups groups;
  RouteCache routes;
  RoutedCalls calls;
  const std::shared_ptr<EventRing> events;
  bool stopping = false;

 private:
  using ResolveDone = std::function<void(absl::StatusOr<Resolved>)>;
  // What ends with a life as a member, however it ends.
  void EndMembership();
  void SetIdentity(wire::NodeIdentity self);
  void PublishView(const ClusterView& before, const ClusterView& after);
  void ResolvePid(const Target::ByPid& by, ResolveDone done);
  void ResolveName(std::string name, Instant deadline, ResolveDone done);
  void OnResolved(std::string name, Instant deadline, uint64_t round, ResolveDone done,
                  absl::StatusOr<internal::v1::ResolveResponse> response);
  void ResolveLocalName(const Target::LocalName& local, ResolveDone done);
  struct PathWalk;
  void ResolvePath(const Target::ChildPath& target, Instant deadline, ResolveDone done);
  void WalkOn(const std::shared_ptr<PathWalk>& walk);
  void OnWalked(const std::shared_ptr<PathWalk>& walk,
                const absl::StatusOr<std::optional<ChildEntry>>& child);
  Resolved Here(Pid pid, uint64_t reg_version = 0) const;
  absl::StatusOr<Resolved> There(Pid pid, uint64_t reg_version) const;

  Instant revision_told_;  // when the hook was last called
  void StopRest();

  Instant stop_at_;       // asked to end: when all must be over
  Instant retire_until_;  // until then the coordinator moves the children
  bool fencing_ = false;
  bool leave_when_empty_ = false;
  bool leave_again_ = false;  // the coordinator may not know of it
  bool has_left_ = false;
  std::function<void()> left_;

  mutable Mutex mu_;
  wire::NodeIdentity identity_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const ClusterView> view_ ABSL_GUARDED_BY(mu_) = std::make_shared<ClusterView>();
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool frozen_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::string> coordinators_ ABSL_GUARDED_BY(mu_);

 public:
  void SetFrozen(bool frozen);
  void SetCoordinators(std::vector<std::string> coordinators);
};

}  // namespace banyan

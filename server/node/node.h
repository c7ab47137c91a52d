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
#include "banyan/v1/registry.pb.h"
#include "banyan/v1/supervisors.pb.h"
#include "banyan/v1/types.pb.h"
#include "common/base/exit_reason.h"
#include "common/base/pid.h"
#include "common/base/target.h"
#include "common/time/clock.h"
#include "common/wire/pid.h"
#include "server/cluster/peer_router.h"
#include "server/cluster/transport.h"
#include "server/node/cluster_view.h"
#include "server/node/options.h"
#include "server/node/watch_page_sink.h"
#include "server/runtime/runtime.h"

namespace banyan {

class RoutedCalls;
class SupervisorEvents;

// Where a request for a target goes.
struct Resolved {
  Pid pid;                   // local (node_id 0) or of another node; invalid when local_name is set
  std::string local_name;    // a node-local name of another node, which that node resolves
  std::string node;          // name of the node; its own name for local ones
  std::string address;       // of the other node, "host:port"; empty for local ones
  uint64_t reg_version = 0;  // of the registration that led here; 0: none
  bool local() const { return pid.valid() && pid.local(); }
};

// A stretch of the node's own supervisor events, oldest first.
struct NodeEvents {
  std::vector<v1::SupervisorEvent> events;
  uint64_t next = 0;    // ask again from here
  uint64_t missed = 0;  // events before the first one that were dropped already
};

// One node of a cluster: a runtime, its membership, the children that the coordinator has assigned
// to it, and its sessions with other nodes (cluster.md 2 to 6).
//
//   out -> (HelloAck) -> member -> (stream breaks) -> member, redialling -> member
//                        member -> (own DEAD) -> out, cluster children killed -> (Hello, new life)
//                        ... member -> (Leave) -> left
//
// A single-threaded state machine on one executor, shared with its transport. Every public method
// may be called from any thread and only posts unless it says otherwise; callbacks run on the
// executor, once, and must not block. No gRPC and no OS in here: it runs in the simulator as it is.
class Node {
 public:
  // Finds the holder of a name, at the coordinator. `done` may be called from any thread.
  using ResolveDone = std::function<void(absl::StatusOr<internal::v1::ResolveResponse>)>;
  using ResolveFn = std::function<void(const std::string& name, ResolveDone done)>;

  struct Deps {
    Runtime* runtime = nullptr;  // all outlive the node; its host has the modules
    Clock* clock = nullptr;
    Timers* timers = nullptr;
    Executor* executor = nullptr;
    Random* random = nullptr;
    Transport* transport = nullptr;
    WatchPageSink* watch_page = nullptr;  // may be null
  };
  struct Hooks {
    ResolveFn resolve;  // unset: names of other nodes are COORDINATOR_UNAVAILABLE
    // The node has joined: what its state directory should remember. Also when a value changes.
    std::function<void(const std::string& cluster_id, const std::string& store_id, uint32_t epoch,
                       wire::NodeIdentity self)>
        joined;
    // The coordinator's store has come to this revision in this epoch: to be remembered too, both
    // together. Now and then.
    std::function<void(uint64_t revision, uint32_t epoch)> store_seen;
    // Code of an exclusive child is still on a thread when the lease has run out: the process must
    // be aborted, or two lives of the child could run. Only for children with overrun = ABORT.
    std::function<void(std::vector<Pid>)> overrun;
    // The lease froze this node's exclusive children (true), or a renewed one thawed them: for what
    // the runtime cannot freeze itself, such as OS programs. On the executor.
    std::function<void(bool frozen)> frozen;
    // This life was declared DEAD; cluster children are being killed. With rejoin_when_dead the
    // node joins anew afterwards by itself.
    std::function<void()> dead;
    // It has left (a drain with then_leave, or Stop).
    std::function<void()> left;
    // The coordinator refuses this node for good or for now (WRONG_CLUSTER, NAME_IN_USE ...).
    std::function<void(absl::Status)> refused;
    std::function<void(v1::NodeLoad*)> fill_load;  // what only the OS knows: cpus, memory
  };

  Node(Deps deps, NodeOptions options, Hooks hooks);
  // On the executor, or after it has run dry.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Begins to listen to peers and to join. Modules must have been registered with the runtime's
  // host.
  void Start();
  // Lets the coordinator move the assigned children; stops the rest in reverse order of their
  // starts, each by its shutdown policy, when most of the time is over or nothing else can be done;
  // kills what is left at `deadline`; then leaves the cluster.
  void Stop(absl::Duration deadline, std::function<void()> done);

  // --- read at once, from any thread
  const NodeOptions& options() const;
  // Zeros while the node is not a member.
  wire::NodeIdentity identity() const;
  // Never null.
  std::shared_ptr<const ClusterView> view() const;
  bool joined() const { return identity().node_id != 0; }
  bool draining() const;
  v1::NodeInfo Info() const;
  v1::NodeLoad Load() const;
  // All coordinators known now, the one in use first.
  std::vector<std::string> coordinators() const;
  // The node named (or numbered) so in the view.
  std::optional<ClusterView::Member> FindNode(const std::string& node) const;

  // --- targets
  // Where to send what is for `target`. Cluster names may wait for a child that is being started,
  // until `deadline`, then CHILD_RESTARTING. A child path is walked down where it leads through a
  // registered supervisor of this node or through a child that the coordinator has placed here; all
  // others are the coordinator's: COORDINATOR_UNAVAILABLE. A group is one of its members. Errors:
  // NOPROC (a pid of a former life; a child that is not running), NODE_NOT_FOUND,
  // NAME_NOT_REGISTERED, TARGET_INVALID, COORDINATOR_UNAVAILABLE, CHILD_RESTARTING,
  // CHILD_NOT_FOUND, NOT_A_SUPERVISOR, GROUP_EMPTY.
  void ResolveTarget(Target target, Instant deadline,
                     std::function<void(absl::StatusOr<Resolved>)> done);
  // The route was wrong (NOPROC, NOCONNECTION): ask the coordinator next time.
  void ForgetRoute(const std::string& name);

  // Calls from outside that go where ResolveTarget() or others say. Any thread.
  RoutedCalls& calls();

  // --- dynamic names
  // Grants are the coordinator's; the holder must be a process of this node.
  // Errors: NAME_TAKEN, RECOVERING, COORDINATOR_UNAVAILABLE, NOPROC, TARGET_INVALID.
  void RegisterName(std::string name, Pid pid, std::map<std::string, std::string> metadata,
                    bool exclusive, std::function<void(absl::StatusOr<v1::NameEntry>)> done);
  // False: no process of this node has it (or another than `pid`, if that is valid).
  void UnregisterName(std::string name, Pid pid, std::function<void(bool)> done);
  // Dynamic names and child names held by processes of this node.
  void ListHeldNames(std::function<void(std::vector<v1::NameEntry>)> done);

  // --- children of cluster-wide supervisors here, by path
  void ListAssigned(std::function<void(std::vector<internal::v1::ChildStatus>)> done);

  // --- events of this node's supervisors
  // For Host::supervisor_events: what local supervisors do goes into the ring. Lives as long as the
  // node.
  SupervisorEvents* supervisor_events();
  // Position of the next event.
  void EventsEnd(std::function<void(uint64_t)> done);
  // Answers at once if there are events from `after` on, else when one comes, or empty at
  // `deadline`.
  void NextEvents(uint64_t after, size_t max, Instant deadline,
                  std::function<void(NodeEvents)> done);

  PeerRouter& peers();  // on the executor

  class Core;  // the state machine; for its own files and tests

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace banyan

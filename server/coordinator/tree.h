#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "banyan/internal/v1/store.pb.h"
#include "common/base/target.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/token_bucket.h"
#include "server/core/supervisor_planner.h"

namespace banyan {

struct ClusterSupervisor;

// Where a child's present start is. What the supervisor wants of the child is its planner's to
// know.
enum class Assigned : uint8_t {
  kNone,      // no assignment: nothing of it runs anywhere
  kQueued,    // to be started; waits for a node or its turn
  kStarting,  // assignment durable or about to be; Start sent or to be sent
  kRunning,   // reported up
  kStopping,  // to be stopped; not yet known to be over
};

// The assignment of a child that its supervisor's start-up has not come to: nothing of it is sent.
enum class Ahead : uint8_t {
  kNo,
  kUnplaced,  // its supervisor waits for it, but for those before it first
  kWritten,   // on its way to the store
  kDurable,
};

// A life of an `available` child beside its present one: the next, which is to take over as soon as
// it is up, or the one before, which is being stopped since it was taken over from.
struct SecondLife {
  std::string node;
  uint32_t node_id = 0;
  uint32_t incarnation = 0;
  Fence fence;
  uint64_t reg_version = 0;
  bool outgoing = false;
  bool waits_init = false;
};

// One child of a cluster-wide supervisor.
struct Child {
  ClusterSupervisor* supervisor = nullptr;
  ChildKey key = kNoChild;
  uint64_t order = 0;
  std::vector<std::string> path;  // the root's name, then child ids
  std::string path_key;           // the same as one string
  std::shared_ptr<const ChildSpec> spec;

  Assigned assigned = Assigned::kNone;
  Ahead ahead = Ahead::kNo;
  std::string node;  // name; with node_id and incarnation the life it is assigned to
  uint32_t node_id = 0;
  uint32_t incarnation = 0;
  Fence fence;
  Pid pid;
  bool kill = false;        // kStopping: without asking
  bool moving = false;      // kStopping: to be started elsewhere (drain)
  bool waits_init = false;  // in init at the node
  Payload hand_off;         // from the life before
  std::optional<SecondLife> second;
  Instant move_after;  // a second life did not come up: not again before this

  uint64_t starts = 0;
  std::optional<ExitReason> last_exit;
  absl::Time last_exit_time;
  absl::Time start_time;
  Instant running_since;
  std::string previous_node;
  std::vector<absl::Time> poison_marks;
  uint64_t reg_version = 0;
  bool frozen = false;

  std::string pending_reason;  // why no node was found, or why it was given up
  Instant retry_at;            // back-off
  uint64_t retry_timer = 0;
  uint64_t lost_timer = 0;  // `available` on a suspect node

  bool is_new = true;                         // its spec is not in the store yet
  std::unique_ptr<ClusterSupervisor> nested;  // stated in place: kept here, not on a node
};

// One cluster-wide supervisor.
struct ClusterSupervisor {
  std::vector<std::string> path;
  std::string path_key;
  Child* parent = nullptr;                     // null: a root
  std::shared_ptr<const SupervisorSpec> spec;  // without children
  std::unique_ptr<SupervisorPlanner> planner;
  std::map<ChildKey, std::unique_ptr<Child>> children;
  std::map<std::string, ChildKey, std::less<>> dynamic_ids;  // simple_one_for_one
  using NodeCounts = std::map<std::string, uint32_t>;        // by node name
  NodeCounts per_node;                                       // assigned children
  std::map<std::string, NodeCounts> per_key;                 // those with a max_per_node_key, by it
  TokenBucket bucket;
  absl::Time start_time;
  std::vector<absl::Time> recent_restarts;  // for people; newest last

  bool gone = false;        // removed in this turn
  bool user_waits = false;  // its start-up was asked for, and fails with the first child that does
  bool started = false;     // the parent's planner knows that it is up
  bool failed = false;      // a root that gave up
  bool stopping = false;    // asked to stop and vanish
  std::optional<ExitReason> exit_reason;
  std::string stop_request;

  std::set<ChildKey> dirty;  // records to be written at the end of the turn
  bool header_dirty = false;
  // As they are in the store. The script's members have a record of their own: they may be as many
  // as there are children, and each step of the script writes the header.
  std::string header_written;
  uint64_t head_seen = 0;  // of the planner, when the header was last looked at
  std::vector<ChildKey> script_written;
  uint64_t last_order = 0;
  ChildKey last_ahead = kNoChild;  // of a start-up: the last one assigned before its turn
  uint64_t last_ahead_order = 0;
};

std::string PathKey(const std::vector<std::string>& path);

// The cluster-wide supervisors and their children, found by path, and their records in the store.
class Tree {
 public:
  explicit Tree(Coordinator::Core* core) : core_(core) {}

  ClusterSupervisor* Root(const std::string& name);
  const std::map<std::string, std::unique_ptr<ClusterSupervisor>>& roots() const { return roots_; }
  Child* FindChild(const std::string& path_key);
  ClusterSupervisor* FindSupervisor(const std::string& path_key);
  // The cluster-wide supervisor that the target names.
  absl::StatusOr<ClusterSupervisor*> Resolve(const Target& target);
  // By id, or for dynamic children by pid too. Null: none.
  Child* FindById(ClusterSupervisor* sup, const std::string& id);

  ClusterSupervisor* AddRoot(const std::string& name, const SupervisorSpec& spec);
  ClusterSupervisor* AddNested(Child* parent);
  // A fresh planner: at the beginning, and when a root that failed is started again.
  void MakePlanner(ClusterSupervisor* sup);
  // The child of that planner record, made if it is new.
  Child* Ensure(ClusterSupervisor* sup, const ChildRecord& record);
  void RemoveChild(Child* child);
  // With everything below it, records too.
  void RemoveSupervisor(ClusterSupervisor* sup);

  void Touch(Child* child);
  void TouchHeader(ClusterSupervisor* sup);
  // The planner has handled an event, which may have changed what the header tells of it.
  void TouchHeaderIfChanged(ClusterSupervisor* sup);
  // For what can be told from the children's records: how far a start-up has come.
  void TouchHeaderLazily(ClusterSupervisor* sup);
  // For what nobody has been told yet: it goes out with the next write or within a second.
  void TouchLazily(Child* child);
  // Puts all that is dirty into the turn's transaction.
  void Flush();
  void Sweep();

  // From the store; planners restored but not resumed.
  absl::Status Load();
  void ForEach(const std::function<void(ClusterSupervisor*)>& fn);
  size_t child_count() const { return by_path_.size(); }

 private:
  void Index(ClusterSupervisor* sup);
  void FlushLater();
  void WriteChild(Child* child);
  void WriteHeader(ClusterSupervisor* sup);
  void WriteScriptMembers(ClusterSupervisor* sup, const std::vector<ChildKey>& members);
  absl::Status LoadSupervisor(const internal::v1::SupervisorRecord& record);
  void LoadChild(ClusterSupervisor* sup, const internal::v1::ChildRecord& record,
                 const internal::v1::AssignmentRecord& asg, SupervisorSnapshot* snapshot);
  void Drop(std::unique_ptr<ClusterSupervisor> sup);

  Coordinator::Core* const core_;
  std::map<std::string, std::unique_ptr<ClusterSupervisor>> roots_;  // by name
  absl::flat_hash_map<std::string, Child*> by_path_;
  absl::flat_hash_map<std::string, ClusterSupervisor*> supervisors_;
  struct ByPath {
    bool operator()(const ClusterSupervisor* a, const ClusterSupervisor* b) const {
      return a->path_key < b->path_key;
    }
  };
  std::set<ClusterSupervisor*, ByPath> dirty_;  // the order of writing does not depend on addresses
  bool lazy_timer_ = false;
  bool must_flush_ = false;
  std::vector<std::unique_ptr<ClusterSupervisor>> dropped_;  // destroyed after the turn
  std::vector<std::unique_ptr<Child>> dropped_children_;
};

}  // namespace banyan

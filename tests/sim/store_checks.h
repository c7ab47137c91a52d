#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "banyan/internal/v1/store.pb.h"
#include "common/time/instant.h"
#include "server/coordinator/store/store.h"
#include "tests/sim/history.h"

namespace banyan::sim {

// Reads every transaction of the coordinator as it becomes durable, and judges it: INV-2, 3, 6, 7,
// 8, 17 (deaths), 19, 22, 23.
class StoreChecks {
 public:
  explicit StoreChecks(History* history) : history_(history) {}

  // `wall`: of the coordinator that writes.
  void OnCommit(const Txn& txn, Instant now, absl::Time wall);
  // The store is an older one from here on.
  void Forget();
  // From now on until `until` node `name` ("" for the coordinator) cannot be expected to be heard.
  void Trouble(const std::string& name, Instant now, Instant until);
  // The ages of restarts are only known where wall clocks stand.
  void set_wall_jumps(bool jumps) { wall_jumps_ = jumps; }
  // Whoever makes trouble says so: then deaths by lease that nothing explains are judged.
  void set_judge_deaths(bool judge) { judge_deaths_ = judge; }
  // Nobody moves or stops children: whoever crashes is restarted, and that is counted.
  void set_judge_intensity(bool judge) { judge_intensity_ = judge; }
  void set_lease(absl::Duration coordinator) { lease_ = coordinator; }
  // Whether a process of a node still exists. The life of one that does not ends by its lease at
  // last, however long terms of coordinators put that off.
  void set_process_exists(std::function<bool(const std::string& process_id)> fn) {
    process_exists_ = std::move(fn);
  }
  void OnCrash(const std::string& child, uint64_t fence, Instant now);

  // Some assignment of that start has been durable.
  bool Assigned(const std::string& child, uint64_t fence) const {
    return assigned_.contains({child, fence});
  }
  // It is the child's present one.
  bool AssignedNow(const std::string& child, uint64_t fence) const {
    auto it = now_assigned_.find(child);
    return it != now_assigned_.end() && it->second.fence == fence;
  }
  // That start's node, as a member, is dead or has left.
  bool Outlived(const std::string& child, uint64_t fence) const;
  bool Gone(uint32_t node_id, uint32_t incarnation) const {
    return gone_.contains({node_id, incarnation});
  }
  // A member, as far as is on record.
  bool Present(uint32_t node_id, uint32_t incarnation) const;
  uint32_t epoch() const { return epoch_; }
  // That supervisor has given up.
  bool Failed(const std::string& path) const {
    auto it = restarts_.find(path);
    return it != restarts_.end() && it->second.failed;
  }

 private:
  using Identity = std::pair<uint32_t, uint32_t>;
  struct Assignment {
    Identity node;
    uint64_t fence = 0;
  };
  void OnEpoch(const std::string& value);
  void OnNode(const std::string& name, const std::string& value, Instant now);
  void OnChild(const std::string& path, const std::string& value);
  void OnSpec(const std::string& path, const std::string& value);
  void OnSupervisor(const std::string& path, const std::string& value, Instant now,
                    absl::Time wall);
  void OnOperation(const std::string& id, const std::string& value);
  void OnDelete(const std::string& key);
  void CheckLoad();
  void CheckReplaced();
  void JudgeDeath(const internal::v1::NodeRecord& record, Instant now);
  void JudgeIntensity(const std::string& child, uint64_t before, Instant now);

  History* const history_;

  bool wall_jumps_ = false, judge_deaths_ = false, judge_intensity_ = false;
  absl::Duration lease_ = absl::Seconds(25);
  std::function<bool(const std::string&)> process_exists_;
  uint32_t epoch_ = 0;
  std::map<std::string, internal::v1::NodeRecord> nodes_;
  std::map<std::pair<std::string, uint32_t>, std::string> processes_;  // of each life
  std::set<Identity> gone_;
  std::map<std::string, Assignment> now_assigned_;
  std::map<std::pair<std::string, uint64_t>, Identity> assigned_;
  std::map<std::string, uint64_t> highest_;
  std::set<std::string> opened_;  // nodes that this transaction lets take children
  std::map<std::string, int64_t> weights_;
  std::set<std::string> available_;  // children that may overlap
  // Of this transaction: children that get a new start, and the one before.
  std::vector<std::pair<std::string, uint64_t>> restarted_;  // by this transaction
  std::vector<std::pair<std::string, uint64_t>> replaced_;
  struct Restarts {
    std::vector<Instant> times;
    bool failed = false;
    uint64_t crashes = 0;  // of its children, since it began
    uint64_t intensity = 0;
    absl::Duration period;
    std::vector<Instant> counted;  // crashes that were followed by a restart, since it began
  };
  std::map<std::string, Restarts> restarts_;
  struct Crash {
    uint64_t fence = 0;
    Instant at;
  };
  std::map<std::string, Crash> crashed_;  // the last start of a child that ended by itself
  std::set<std::string> scripts_;  // supervisors in the middle of a group restart or their end
  std::map<std::string, std::string> answers_;
  std::map<std::string, Instant> trouble_until_;
};

}  // namespace banyan::sim

#include "tests/sim/store_checks.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/wire/time.h"

namespace banyan::sim {
namespace {

// Restarts are kept as wall times that are computed anew at each write, from ages in whole seconds.
constexpr absl::Duration kAgeSlack = absl::Milliseconds(2200);
// Who was in trouble needs that long to be heard again.
constexpr absl::Duration kRecovery = absl::Seconds(8);

std::string Show(std::pair<uint32_t, uint32_t> id) {
  return fmt::format("{}:{}", id.first, id.second);
}

}  // namespace

void StoreChecks::OnCommit(const Txn& txn, Instant now, absl::Time wall) {
  for (const std::string& key : txn.deletes) OnDelete(key);
  opened_.clear();
  for (const KeyValue& put : txn.puts) {
    internal::v1::NodeRecord record;
    if (!put.key.starts_with("node/") || !record.ParseFromString(put.value)) continue;
    if (!record.cordoned() && !record.has_drain()) opened_.insert(put.key.substr(5));
  }
  // What is judged against the state before comes first: assignments look at nodes as they were.
  for (const KeyValue& put : txn.puts) {
    const std::string& key = put.key;
    if (key == "epoch") {
      OnEpoch(put.value);
    } else if (key.starts_with("child/") && key.ends_with("/spec")) {
      OnSpec(key.substr(6, key.size() - 11), put.value);
    } else if (key.starts_with("child/") && key.ends_with("/asg")) {
      OnChild(key.substr(6, key.size() - 10), put.value);
    } else if (key.starts_with("sup/")) {
      OnSupervisor(key.substr(4), put.value, now, wall);
    } else if (key.starts_with("op/")) {
      OnOperation(key.substr(3), put.value);
    }
  }
  for (const KeyValue& put : txn.puts) {
    if (put.key.starts_with("node/")) OnNode(put.key.substr(5), put.value, now);
  }
  CheckLoad();
  CheckReplaced();
  for (const auto& [child, before] : restarted_) JudgeIntensity(child, before, now);
  restarted_.clear();
}

// W2: the start before is over, by its own end or its node's.
void StoreChecks::CheckReplaced() {
  for (const auto& [path, fence] : replaced_) {
    if (Outlived(path, fence) || !history_->IsLive(path, fence)) continue;
    history_->Violation(
        fmt::format("INV-5: {} gets a new start, and the one of fence {} runs", path, fence));
  }
  replaced_.clear();
}

void StoreChecks::Forget() {
  nodes_.clear();
  now_assigned_.clear();
  scripts_.clear();
  highest_.clear();
  restarts_.clear();
  answers_.clear();
  processes_.clear();
  gone_.clear();
  epoch_ = 0;
  judge_deaths_ = false;  // lives that it has not heard of follow those that it has
}

void StoreChecks::OnEpoch(const std::string& value) {
  internal::v1::EpochRecord record;
  if (!record.ParseFromString(value)) return history_->Violation("INV-2: an epoch without sense");
  if (record.epoch() <= epoch_) {
    history_->Violation(
        fmt::format("INV-2: epoch {} is committed after {}", record.epoch(), epoch_));
  }
  epoch_ = record.epoch();
  // From one term to the next restarts are dated by the wall clock.
  if (wall_jumps_) {
    for (auto& [path, sup] : restarts_) sup.counted.clear();
  }
  if (!scripts_.empty()) history_->Mark("group restart resumed in the next term");
  history_->Event("coord", "epoch", std::to_string(epoch_));
}

void StoreChecks::OnNode(const std::string& name, const std::string& value, Instant now) {
  internal::v1::NodeRecord record;
  if (!record.ParseFromString(value)) return;
  const Identity id{record.node_id(), record.incarnation()};
  const bool gone = record.state() == v1::NODE_STATE_DEAD || record.state() == v1::NODE_STATE_LEFT;
  std::string& process = processes_[{name, record.incarnation()}];
  if (!process.empty() && process != record.process_id()) {
    history_->Violation(fmt::format("INV-3: life {} of {} belongs to two processes, {} and {}",
                                    record.incarnation(), name, process, record.process_id()));
  }
  process = record.process_id();
  auto before = nodes_.find(name);
  if (before != nodes_.end() && before->second.incarnation() > record.incarnation()) {
    history_->Violation(fmt::format("INV-3: life {} of {} follows life {}", record.incarnation(),
                                    name, before->second.incarnation()));
  }
  if (gone_.contains(id) && !gone)
    history_->Violation(fmt::format("INV-4: life {} of {} was over", Show(id), name));
  if (gone && !gone_.contains(id)) {
    gone_.insert(id);
    history_->Event("coord", "over",
                    fmt::format("{} {} ({})", name, Show(id), record.death_cause()));
    JudgeDeath(record, now);
  }
  nodes_[name] = std::move(record);
}

void StoreChecks::JudgeDeath(const internal::v1::NodeRecord& record, Instant now) {
  const std::string& cause = record.death_cause();
  if (cause == "left") {
    history_->Mark("node left");
    for (const auto& [path, a] : now_assigned_) {
      if (a.node != Identity{record.node_id(), record.incarnation()} || a.fence == 0) continue;
      history_->Violation(
          fmt::format("INV-22: {} has left and {} is assigned to it", record.name(), path));
    }
    return;
  }
  history_->Mark("death by " + cause);
  if (cause != "lease" || !judge_deaths_) return;
  if (process_exists_ && !process_exists_(record.process_id())) return;
  // Silence that nothing but the coordinator itself can explain is no death.
  auto until = trouble_until_.find(record.name());
  if (until != trouble_until_.end() && until->second + kRecovery + lease_ > now) return;
  history_->Violation(
      fmt::format("INV-17: {} was declared dead, and nothing was wrong with it", record.name()));
}

void StoreChecks::Trouble(const std::string& name, Instant now, Instant until) {
  Instant& last = trouble_until_[name];
  last = std::max(last, std::max(now, until));
}

void StoreChecks::OnSpec(const std::string& path, const std::string& value) {
  internal::v1::ChildRecord record;
  if (!record.ParseFromString(value)) return;
  const auto& resources = record.spec().resources();
  auto weight = resources.find("weight");
  weights_[path] = weight == resources.end() ? 1 : weight->second;
  if (record.spec().exclusivity() == v1::EXCLUSIVITY_AVAILABLE) available_.insert(path);
}

void StoreChecks::OnChild(const std::string& path, const std::string& value) {
  internal::v1::AssignmentRecord record;
  if (!record.ParseFromString(value)) return;
  const auto take = [&](uint32_t node_id, uint32_t incarnation, uint64_t fence) {
    if (fence == 0) return;
    const Identity node{node_id, incarnation};
    auto [it, first] = assigned_.emplace(std::pair(path, fence), node);
    if (!first) {
      if (it->second != node) {
        history_->Violation(fmt::format("INV-6: fence {} of {} is on {} and on {}", fence, path,
                                        Show(it->second), Show(node)));
      }
      return;
    }
    uint64_t& highest = highest_[path];
    if (highest != 0 && !available_.contains(path)) replaced_.emplace_back(path, highest);
    if (fence <= highest) {
      history_->Violation(
          fmt::format("INV-6: {} is assigned with fence {} after {}", path, fence, highest));
    }
    restarted_.emplace_back(path, highest);
    highest = std::max(highest, fence);
    for (const auto& [name, member] : nodes_) {
      if (Identity{member.node_id(), member.incarnation()} != node) continue;
      const bool drains = member.has_drain() && !member.drain().has_end_time();
      if ((member.cordoned() || drains) && !opened_.contains(name)) {
        history_->Violation(
            fmt::format("INV-22: {} is assigned to {}, which takes no children", path, name));
      }
    }
    if (gone_.contains(node))
      history_->Violation(
          fmt::format("INV-4: {} is assigned to {}, which is over", path, Show(node)));
    history_->Event("coord", "assign", fmt::format("{} fence {} on {}", path, fence, Show(node)));
  };
  take(record.node_id(), record.incarnation(), record.fence());
  if (record.has_second()) {
    take(record.second().node_id(), record.second().incarnation(), record.second().fence());
    history_->Mark("second life beside the first");
  }
  if (record.moving()) history_->Mark("child moved");
  now_assigned_[path] = {{record.node_id(), record.incarnation()}, record.fence()};
}

void StoreChecks::CheckLoad() {
  std::map<Identity, int64_t> load;
  for (const auto& [path, a] : now_assigned_) {
    if (a.fence != 0) load[a.node] += weights_.contains(path) ? weights_[path] : 1;
  }
  for (const auto& [name, member] : nodes_) {
    auto capacity = member.capacity().find("weight");
    if (capacity == member.capacity().end() || capacity->second == 0) continue;
    const int64_t sum = load[{member.node_id(), member.incarnation()}];
    if (sum > capacity->second) {
      history_->Violation(
          fmt::format("INV-23: {} has {} of {} assigned", name, sum, capacity->second));
    }
  }
}

void StoreChecks::OnSupervisor(const std::string& path, const std::string& value, Instant now,
                               absl::Time wall) {
  internal::v1::SupervisorRecord record;
  if (!record.ParseFromString(value)) return;
  Restarts& known = restarts_[path];
  scripts_.erase(path);
  if (record.has_script() && record.started()) scripts_.insert(path);
  std::vector<Instant> times;
  for (const auto& t : record.restarts()) times.push_back(now - (wall - wire::FromProto(t)));
  const absl::Duration period = wire::FromProto(record.spec().period());
  const bool over = record.failed() || record.stopping() || record.has_exit_reason();
  if (!known.failed && !over && !wall_jumps_) {
    for (Instant t : known.times) {
      // The window ends on whole seconds.
      if (now - t > period - absl::Seconds(4)) continue;
      const bool kept = std::any_of(times.begin(), times.end(), [&](Instant other) {
        return other - t < kAgeSlack && t - other < kAgeSlack;
      });
      if (!kept && !record.has_script()) {
        history_->Violation(fmt::format("INV-19: {} has forgotten a restart of {} ago", path,
                                        absl::FormatDuration(now - t)));
      }
    }
  }
  if (record.failed() && !known.failed) {
    history_->Mark("supervisor gave up");
    const uint64_t limit = record.spec().intensity();
    if (known.crashes <= limit) {
      history_->Violation(fmt::format("INV-19: {} gave up after {} crashes, it may take {}", path,
                                      known.crashes, limit));
    }
  }
  if (known.failed && !record.failed()) {
    known.crashes = 0;
    known.counted.clear();
  }
  known.intensity = record.spec().intensity();
  known.period = period;
  known.times = over ? std::vector<Instant>() : std::move(times);
  known.failed = record.failed();
}

void StoreChecks::OnCrash(const std::string& child, uint64_t fence, Instant now) {
  ++restarts_[child.substr(0, child.rfind('/'))].crashes;
  crashed_[child] = {fence, now};
}

// Whoever restarts more often than it may has to give up. Of a node that is gone since, nobody
// knows that the child had crashed before.
void StoreChecks::JudgeIntensity(const std::string& child, uint64_t before, Instant now) {
  const auto crash = crashed_.find(child);
  if (crash == crashed_.end() || crash->second.fence != before || Outlived(child, before)) return;
  Restarts& sup = restarts_[child.substr(0, child.rfind('/'))];
  // It was decided on after the crash and before the commit, which a full disk may hold up for
  // long.
  sup.counted.push_back(crash->second.at);
  // The window ends on whole seconds, and clocks run at rates of their own.
  const absl::Duration window = sup.period - absl::Seconds(2);
  const auto within = static_cast<uint64_t>(std::count_if(
      sup.counted.begin(), sup.counted.end(), [&](Instant at) { return now - at < window; }));
  if (judge_intensity_ && sup.intensity > 0 && !sup.failed && within > sup.intensity) {
    history_->Violation(fmt::format("INV-19: {} is the {}th restart within {}; {} are allowed",
                                    child, within, absl::FormatDuration(window), sup.intensity));
  }
}

void StoreChecks::OnOperation(const std::string& id, const std::string& value) {
  internal::v1::OperationRecord record;
  if (!record.ParseFromString(value) || !record.done()) return;
  const std::string answer = record.answer() + record.error().SerializeAsString();
  auto [it, first] = answers_.emplace(id, answer);
  if (!first && it->second != answer)
    history_->Violation(fmt::format("INV-8: request {} was answered twice, differently", id));
}

void StoreChecks::OnDelete(const std::string& key) {
  if (key.starts_with("node/")) {
    const std::string name = key.substr(5);
    nodes_.erase(name);
    std::erase_if(processes_, [&](const auto& entry) { return entry.first.first == name; });
  } else if (key.starts_with("child/") && key.ends_with("/asg")) {
    now_assigned_.erase(key.substr(6, key.size() - 10));
  } else if (key.starts_with("sup/")) {
    restarts_.erase(key.substr(4));
    scripts_.erase(key.substr(4));
  } else if (key.starts_with("op/")) {
    answers_.erase(key.substr(3));
  }
}

bool StoreChecks::Present(uint32_t node_id, uint32_t incarnation) const {
  return !Gone(node_id, incarnation) &&
         std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& entry) {
           return entry.second.node_id() == node_id && entry.second.incarnation() == incarnation;
         });
}

bool StoreChecks::Outlived(const std::string& child, uint64_t fence) const {
  auto it = assigned_.find({child, fence});
  return it != assigned_.end() && gone_.contains(it->second);
}

}  // namespace banyan::sim

#include "tests/sim/workload_groups.h"

#include <algorithm>
#include <memory>

#include "fmt/format.h"

namespace banyan::sim {
namespace {

constexpr int kMembersPerNode = 4;
constexpr absl::Duration kConverged = absl::Seconds(2);

std::string Text(const GroupTable::Groups& groups) {
  std::string out;
  for (const auto& [group, pids] : groups) {
    out += " " + group + ":";
    for (const Pid& pid : pids) out += FormatPid(pid) + " ";
  }
  return out;
}

}  // namespace

void GroupWorkload::StopLoad() {
  ActorWorkload::StopLoad();
  // With faults the end of a node's life comes later; AtQuiescence() waits for that.
  if (calm()) compare_at_ = Now() + kConverged;
}

void GroupWorkload::OnTick() {
  if (Now() < compare_at_) return;
  compare_at_ = Instant::Infinite();
  CompareAll();
}

// ------------------------------------------------------------------- members

void GroupWorkload::OnLife(int node) {
  for (int i = 0; i < kMembersPerNode; ++i) SpawnMember(node);
  SpawnFollower(node);
}

void GroupWorkload::SpawnMember(int node) {
  auto actor = std::make_unique<Joiner>();
  Joiner* raw = actor.get();
  Spawn(node, std::move(actor), [this, raw](Self& self) { return RunMember(self, raw); },
        {.module = "group-member"});
}

Task<ExitReason> GroupWorkload::RunMember(Self& self, Joiner* me) {
  for (;;) {
    co_await self.Sleep(Between(absl::Milliseconds(20), absl::Seconds(2)));
    if (quiet()) continue;
    if (OneIn(15)) {
      Count("ends");
      SpawnMember(me->node);
      co_return ExitReason::Error("done");
    }
    co_await ChangeOne(self, me);
  }
}

Task<void> GroupWorkload::ChangeOne(Self& self, Joiner* me) {
  const std::string group = fmt::format("group-{}", Below(4));
  if (OneIn(2)) {
    Count("joins");
    const absl::Status joined = co_await pg::Join(self, pg::kDefaultScope, group, {self.pid()});
    if (joined.ok()) ++me->joined[group];
  } else {
    Count("leaves");
    const absl::Status left = co_await pg::Leave(self, pg::kDefaultScope, group, {self.pid()});
    if (left.ok() != (me->joined[group] > 0)) {
      Violation(fmt::format("INV-16: {} leaves {}, joined {} times: {}", FormatPid(me->pid), group,
                            me->joined[group], left.ToString()));
    }
    if (left.ok()) --me->joined[group];
  }
}

// ----------------------------------------------------------------- followers

void GroupWorkload::SpawnFollower(int node) {
  auto actor = std::make_unique<Follower>();
  Follower* raw = actor.get();
  Spawn(node, std::move(actor), [this, raw](Self& self) { return RunFollower(self, raw); },
        {.module = "group-follower"});
}

Task<ExitReason> GroupWorkload::RunFollower(Self& self, Follower* me) {
  absl::StatusOr<pg::ScopeMonitor> begun = co_await pg::MonitorScope(self, pg::kDefaultScope);
  if (!begun.ok()) co_return ExitReason::Normal();
  me->follows = true;
  for (const auto& [group, pids] : begun->groups) me->groups.Join(group, pids);
  for (;;) {
    std::optional<Message> m = co_await self.Receive();
    const auto* notice = m->payload().As<GroupNotice>();
    if (!notice) continue;
    Count("notices");
    const GroupChange& change = notice->change;
    if (change.kind == GroupChange::Kind::kJoin) {
      me->groups.Join(change.group, change.pids);
    } else if (me->groups.Leave(change.group, change.pids).size() != change.pids.size()) {
      Violation(fmt::format("INV-16: {} hears of members that leave {} and had not joined",
                            SimCluster::NodeName(me->node), change.group));
    }
  }
}

// -------------------------------------------------------------------- judged

GroupTable::Groups GroupWorkload::Expected(int node) {
  GroupTable::Groups all;
  for (const auto& a : actors()) {
    const auto* member = dynamic_cast<const Joiner*>(a.get());
    if (!member || !a->alive || !Member(a->node)) continue;
    const Pid pid = a->node == node ? a->pid : Export(*a);
    for (const auto& [group, times] : member->joined) {
      if (times > 0) all[group].insert(all[group].end(), static_cast<size_t>(times), pid);
    }
  }
  for (auto& [group, pids] : all) std::sort(pids.begin(), pids.end());
  return all;
}

void GroupWorkload::Compare(int node, const std::string& who, const GroupTable::Groups& found) {
  Count("comparisons");
  GroupTable::Groups sorted = found;
  for (auto& [group, pids] : sorted) std::sort(pids.begin(), pids.end());
  const GroupTable::Groups expected = Expected(node);
  if (sorted == expected) return;
  Violation(fmt::format("INV-16: {} of {} has{}; there is{}", who, SimCluster::NodeName(node),
                        Text(sorted), Text(expected)));
}

void GroupWorkload::CompareAll() {
  for (int i = 0; i < size(); ++i) {
    if (!Member(i)) continue;
    auto reader = [this, i](Self& self) -> Task<ExitReason> {
      GroupTable::Groups found;
      for (const std::string& group : pg::WhichGroups(self, pg::kDefaultScope))
        found[group] = pg::GetMembers(self, pg::kDefaultScope, group);
      Compare(i, "the scope", found);
      co_return ExitReason::Normal();
    };
    Spawn(i, std::make_unique<Actor>(), reader);
  }
  for (const auto& a : actors()) {
    const auto* follower = dynamic_cast<const Follower*>(a.get());
    if (follower && a->alive && follower->follows)
      Compare(a->node, "the follower", follower->groups.All());
  }
}

void GroupWorkload::CheckAtRest() {
  CompareAll();
  cluster().time().RunFor(absl::Seconds(1));
}

}  // namespace banyan::sim

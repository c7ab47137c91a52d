#include "server/coordinator/safe_mode.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

using internal::v1::ChildStatus;

// Numbers and incarnations that may have been given out since the backup are left out: this many.
constexpr uint32_t kSkip = 1000;

std::vector<std::string> PathOf(const ChildStatus& status) {
  return {status.path().begin(), status.path().end()};
}

}  // namespace

void SafeMode::Begin(const std::string& why, uint32_t highest_incarnation,
                     internal::v1::MetaRecord* meta) {
  meta->set_safe_mode(why);
  meta->set_last_node_id(meta->last_node_id() + kSkip);
  meta->set_incarnation_floor(std::max(meta->incarnation_floor(), highest_incarnation) + kSkip);
}

bool SafeMode::on() const { return !core_->meta.safe_mode().empty(); }

void SafeMode::Start() {
  if (on()) core_->cluster_events.AddAlarm(Alarms().front());
}

bool SafeMode::holds_starts() const { return on() || core_->now() < starts_from_; }

std::vector<std::string> SafeMode::Alarms() const {
  std::vector<std::string> alarms;
  if (on()) {
    alarms.push_back(
        fmt::format("SAFE mode: {}; nothing is started, stopped or replaced until "
                    "`banyan safe-mode adopt` or `banyan safe-mode kill`",
                    core_->meta.safe_mode()));
  }
  if (epoch_needed_ > core_->epoch) {
    alarms.push_back(
        fmt::format("nodes have obeyed term {} and refuse this one, {}: restore the "
                    "store with `banyand restore --min-epoch {}`",
                    epoch_needed_, core_->epoch, epoch_needed_));
  }
  return alarms;
}

// ------------------------------------------------------------------ detection

void SafeMode::OnHello(const internal::v1::Hello& hello) {
  if (!hello.cluster_name().empty() && hello.cluster_name() != core_->options.cluster_name) return;
  if (hello.cluster_id().empty()) return;
  if (hello.cluster_id() != core_->meta.cluster_id()) {
    // A running node dials only coordinators that it was given, so this one had another store.
    const bool lost = core_->members.all().empty() && hello.incarnation() != 0;
    if (!lost || GivenUp(hello.cluster_id())) return;
    uint32_t& epoch = foreign_[hello.cluster_id()];
    epoch = std::max(epoch, hello.epoch_seen());
    return Enter(fmt::format(
        "the store is empty, but node \"{}\" runs {} children of the one before; stop the "
        "coordinator and restore a backup, or give them up",
        hello.name(), hello.running()));
  }
  if (hello.epoch_seen() > core_->epoch && !Mutant("no-epoch-gate")) {
    epoch_needed_ = std::max(epoch_needed_, hello.epoch_seen());
    if (hello.store_id() != core_->store_id) return;
    return Enter(fmt::format("node \"{}\" has obeyed term {} of this store, which is in term {}",
                             hello.name(), hello.epoch_seen(), core_->epoch));
  }
  // Who has not heard of this term yet saw the store before it; what nodes have seen of the two
  // they learn and remember together.
  const uint64_t revision =
      hello.epoch_seen() < core_->epoch ? core_->revision_at_start : core_->deps.store->revision();
  if (hello.store_id() == core_->store_id && hello.store_revision() > revision) {
    Enter(fmt::format("node \"{}\" has seen revision {} of this store, which has only {}",
                      hello.name(), hello.store_revision(), revision));
  }
}

bool SafeMode::OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks) {
  strays_.erase(member->name());
  if (on()) return false;
  for (const auto& chunk : chunks) {
    for (const ChildStatus& status : chunk.children()) {
      if (Fence(status.fence()).epoch() <= core_->epoch) continue;
      Enter(fmt::format("node \"{}\" runs {}, started in term {}; this is term {}", member->name(),
                        PathKey(PathOf(status)), Fence(status.fence()).epoch(), core_->epoch));
      return true;
    }
  }
  return false;
}

void SafeMode::Enter(const std::string& why) {
  if (on() || Mutant("no-safe-mode")) return;
  uint32_t highest = 0;
  for (const auto& [name, member] : core_->members.all())
    highest = std::max(highest, member->incarnation());
  Begin(why, highest, &core_->meta);
  core_->journal.Put("meta", core_->meta);
  core_->cluster_events.AddAlarm(Alarms().front());
  // What they have told so far may lack what is needed now.
  CloseControls("SAFE mode begins");
}

void SafeMode::CloseControls(const std::string& why) {
  std::vector<ControlSession*> open;
  for (const auto& [name, member] : core_->members.all()) {
    if (member->control != nullptr) open.push_back(member->control);
  }
  for (ControlSession* session : open) session->Close(absl::UnavailableError(why));
}

bool SafeMode::KnowsBetter(const Member* member, const internal::v1::Hello& hello) const {
  if (!on() || hello.incarnation() == 0 || hello.cluster_id().empty()) return false;
  return member == nullptr || hello.incarnation() > member->incarnation();
}

void SafeMode::Keep(const Member* member, const ChildStatus& status) {
  strays_[member->name()].push_back(status);
}

// ------------------------------------------------------------------- decision

std::map<std::string, SafeMode::Stray> SafeMode::Newest() const {
  std::map<std::string, Stray> newest;
  for (const auto& [node, statuses] : strays_) {
    for (const ChildStatus& status : statuses) {
      Stray& stray = newest[PathKey(PathOf(status))];
      if (stray.node.empty() || status.fence() > stray.status.fence()) stray = {node, status};
    }
  }
  return newest;
}

bool SafeMode::CanAdopt(const Stray& stray) const {
  const Member* member = core_->members.Find(stray.node);
  if (member == nullptr || member->gone() || member->control == nullptr) return false;
  const std::vector<std::string> path = PathOf(stray.status);
  if (const Child* child = core_->tree.FindChild(PathKey(path))) {
    return child->spec->supervisor == nullptr && child->assigned != Assigned::kStopping &&
           !child->supervisor->planner->shutting_down() &&
           stray.status.fence() > child->fence.value();
  }
  if (path.size() < 2 || !stray.status.has_spec()) return false;
  ClusterSupervisor* sup = core_->tree.FindSupervisor(PathKey({path.begin(), path.end() - 1}));
  return sup != nullptr && !sup->failed && !sup->gone && !sup->planner->shutting_down();
}

v1::EndSafeModeResponse SafeMode::Plan(bool adopt) const {
  v1::EndSafeModeResponse response;
  for (const auto& [path, stray] : Newest())
    adopt&& CanAdopt(stray) ? response.add_adopted(path) : response.add_stopped(path);
  for (const auto& [name, member] : core_->members.all()) {
    if (!member->gone() && !member->resynced) response.add_missing_nodes(name);
  }
  return response;
}

void SafeMode::End(v1::EndSafeModeRequest::Decision decision, bool validate_only,
                   const std::string& request_id, Reply<v1::EndSafeModeResponse> done) {
  const bool adopt = decision == v1::EndSafeModeRequest::DECISION_ADOPT;
  if (!validate_only || !on()) {
    Operation* op = core_->operations.Begin<v1::EndSafeModeResponse>(
        request_id, "EndSafeMode", adopt ? "adopt" : "kill", {}, std::move(done));
    if (op == nullptr) return;
    if (!on()) {
      return core_->operations.Fail(
          op, MakeError("NOT_IN_SAFE_MODE", "the cluster is not in SAFE mode: nothing to decide"));
    }
    core_->operations.Finish(op, Plan(adopt), "done");
  } else {
    return core_->journal.AfterUnlessFull([done, plan = Plan(adopt)] { done(plan); });
  }
  for (const auto& [path, stray] : Newest()) {
    if (adopt && CanAdopt(stray))
      core_->reconciler.Adopt(core_->members.Find(stray.node), stray.status);
  }
  strays_.clear();
  core_->meta.clear_safe_mode();
  core_->journal.Put("meta", core_->meta);
  uint32_t epoch = 0;
  for (const auto& [cluster_id, seen] : std::exchange(foreign_, {})) {
    given_up_.insert(cluster_id);
    epoch = std::max(epoch, seen);
  }
  if (epoch > core_->epoch) core_->BeginTerm(epoch + 1);
  // A node that has not come back yet had its last lease from before this term.
  starts_from_ = core_->term_start + core_->times.coordinator;
  core_->After(starts_from_ - core_->now(), [] {});
  core_->reconciler.OnSafeModeEnded();
  core_->cluster_events.AddAlarm(
      fmt::format("SAFE mode has ended: what ran is {}", adopt ? "adopted" : "stopped"));
  // The resync that follows stops what is not adopted and starts what is missing.
  core_->journal.After([this] { CloseControls("SAFE mode has ended"); });
}

}  // namespace banyan

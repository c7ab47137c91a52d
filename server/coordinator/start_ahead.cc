// Start-ups: each child is started when the one before it is up. What is not waited for each time
// is the store: the assignments of the next children are written together, before their turn.
#include "server/coordinator/core.h"
#include "server/coordinator/reconciler.h"

namespace banyan {
namespace {

// So many are on record before their turn. At half of them the next ones are written, which takes
// the store no longer than the other half takes to start.
constexpr uint64_t kAheadMax = 64;

}  // namespace

bool Reconciler::TurnHasCome(const Child* child) {
  const SupervisorPlanner& planner = *child->supervisor->planner;
  return !planner.initializing() || planner.at_hand() == child->key;
}

// What finds no room now is placed when its turn comes.
void Reconciler::AssignAhead(ClusterSupervisor* sup) {
  const SupervisorPlanner& planner = *sup->planner;
  const auto at_hand = sup->children.find(planner.at_hand());
  if (at_hand == sup->children.end()) return;
  const uint64_t order = at_hand->second->order;
  if (order + kAheadMax / 2 < sup->last_ahead_order) return;
  const bool some = order < sup->last_ahead_order && planner.Find(sup->last_ahead) != nullptr;
  const ChildTable& table = planner.children();
  const ChildRecord* r = table.Next(planner.Find(some ? sup->last_ahead : at_hand->first));
  if (r == nullptr) return;
  std::vector<NodeView>& views = core_->members.Views(core_->now());
  for (; r != nullptr; r = table.Next(r)) {
    Child* child = core_->tree.Ensure(sup, *r);
    if (child->order > order + kAheadMax) return;
    const bool waits = child->assigned == Assigned::kNone && child->spec->supervisor == nullptr &&
                       (r->state == ChildState::kUndefined || child->ahead == Ahead::kUnplaced);
    if (waits && !AssignNextAhead(child, &views)) return;
    sup->last_ahead = r->key;
    sup->last_ahead_order = child->order;
  }
}

bool Reconciler::AssignNextAhead(Child* child, std::vector<NodeView>* views) {
  const PlacementResult result = Place(RequestFor(child), *views, core_->deps.random);
  Member* member = result.node.empty() ? nullptr : core_->members.Find(result.node);
  if (member == nullptr) return false;
  Assign(child, member, Ahead::kWritten);
  CountIn(*child, views);
  return true;
}

// The turn of a child that was assigned ahead has come.
void Reconciler::StartAhead(Child* child) {
  const Instant now = core_->now();
  const CoordinatorOptions& options = core_->options;
  ClusterSupervisor* sup = child->supervisor;
  Member* member = core_->members.FindLive(child->node_id, child->incarnation);
  const bool placed = child->ahead != Ahead::kUnplaced && member != nullptr;
  const bool fits = placed && member->placeable(now) &&
                    (member->exclusive_ok || child->spec->exclusivity == Exclusivity::kAvailable) &&
                    member->starts_in_flight < options.starts_in_flight_per_node;
  const double pace = pace_.Factor(now);
  const bool goes = fits && !core_->safe_mode.holds_starts() &&
                    bucket_.HasOne(options.starts_per_second * pace, now) &&
                    sup->bucket.HasOne(options.starts_per_second_per_supervisor * pace, now);
  if (!goes) {
    DropAhead(child);
    child->ahead = Ahead::kNo;
    return Enqueue(child);
  }
  bucket_.Take(options.starts_per_second * pace, now);
  sup->bucket.Take(options.starts_per_second_per_supervisor * pace, now);
  const bool durable = std::exchange(child->ahead, Ahead::kNo) == Ahead::kDurable;
  child->waits_init = true;
  ++member->starts_in_flight;
  if (durable) SendStart(child);  // else it is sent when it is in the store
  AssignAhead(sup);
}

// Nothing of it was sent. Who waits for it goes on waiting.
void Reconciler::DropAhead(Child* child) {
  Release(child);
  core_->tree.Touch(child);
  child->ahead = Ahead::kUnplaced;
}

}  // namespace banyan

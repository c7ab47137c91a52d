#include "server/coordinator/members.h"

#include <algorithm>
#include <utility>

#include "common/base/mutant.h"

namespace banyan {

v1::NodeState Member::shown_state() const {
  if (gone()) return record.state();
  if (suspect) return v1::NODE_STATE_SUSPECT;
  if (draining()) return v1::NODE_STATE_DRAINING;
  return record.state();
}

bool Member::placeable(Instant now) const {
  return record.state() == v1::NODE_STATE_ACTIVE && reachable() &&
         ((!record.cordoned() && !record.has_drain()) || Mutant("place-on-cordoned")) &&
         now >= quarantined_until && now >= full_until && !clock.decided();
}

std::map<std::string, std::string> Member::labels() const {
  std::map<std::string, std::string> all(record.labels().begin(), record.labels().end());
  for (const std::string& hidden : record.hidden_labels()) all.erase(hidden);
  for (const auto& [key, value] : record.given_labels()) all[key] = value;
  return all;
}

std::map<std::string, int64_t> Member::capacity() const {
  std::map<std::string, int64_t> all(record.capacity().begin(), record.capacity().end());
  for (const auto& [key, value] : record.given_capacity()) all[key] = value;
  return all;
}

Member* MemberTable::Find(const std::string& name) {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second.get();
}

Member* MemberTable::FindById(uint32_t node_id) {
  auto it = by_id_.find(node_id);
  return it == by_id_.end() ? nullptr : it->second;
}

Member* MemberTable::FindLive(uint32_t node_id, uint32_t incarnation) {
  Member* member = FindById(node_id);
  if (member == nullptr || member->gone() || member->incarnation() != incarnation) return nullptr;
  return member;
}

Member& MemberTable::Add(internal::v1::NodeRecord record, const LeaseTimes& times, Instant now) {
  const std::string name = record.name();
  auto& slot = by_name_[name];
  slot = std::make_unique<Member>(std::move(record), times, now);
  by_id_[slot->node_id()] = slot.get();
  return *slot;
}

void MemberTable::Remove(const std::string& name) {
  auto it = by_name_.find(name);
  if (it == by_name_.end()) return;
  by_id_.erase(it->second->node_id());
  by_name_.erase(it);
}

size_t MemberTable::live() const {
  return static_cast<size_t>(std::count_if(
      by_name_.begin(), by_name_.end(), [](const auto& entry) { return !entry.second->gone(); }));
}

namespace {

void FillTraits(const Member& member, NodeView* view) {
  view->name = member.name();
  view->node_id = member.node_id();
  view->labels = member.labels();
  view->modules.clear();
  for (const v1::ModuleInfo& module : member.modules) view->modules.insert(module.name());
  view->capacity = member.capacity();
  const auto weight = view->capacity.extract("weight");
  view->capacity_weight = weight.empty() ? 0 : weight.mapped();
}

}  // namespace

std::vector<NodeView>& MemberTable::Views(Instant now) {
  size_t count = 0;
  for (const auto& [name, member] : by_name_) {
    if (member->gone()) continue;
    if (count == views_.size()) views_.emplace_back();
    NodeView& view = views_[count++];
    if (std::exchange(member->traits_changed, false) || view.node_id != member->node_id())
      FillTraits(*member, &view);
    view.schedulable = member->placeable(now);
    view.exclusive_ok = member->exclusive_ok;
    view.suspect = member->suspect;
    view.assigned_weight = Mutant("overcommit") ? 0 : member->weight;
    view.assigned = member->assigned;
    view.recent_start_failures = member->recent_start_failures;
  }
  views_.resize(count);
  return views_;
}

bool MemberTable::AwaitsResync() const {
  return std::any_of(by_name_.begin(), by_name_.end(), [](const auto& entry) {
    return !entry.second->gone() && !entry.second->known;
  });
}

bool MemberTable::AwaitsTrust() const {
  return std::any_of(by_name_.begin(), by_name_.end(), [](const auto& entry) {
    const Member& member = *entry.second;
    return !member.gone() && member.suspect && member.beats_wanted == 1;
  });
}

bool MemberTable::AwaitsJoin() const {
  return std::any_of(by_name_.begin(), by_name_.end(), [](const auto& entry) {
    return entry.second->record.state() == v1::NODE_STATE_JOINING;
  });
}

}  // namespace banyan

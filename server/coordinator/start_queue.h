#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"

#include "server/coordinator/start_pace.h"

namespace banyan {

// Children that wait for their start, in the order of StartOrder. Those that wait for the same
// (their supervisor's pace, room on the same nodes) share a lane: when the first of them has to go
// on waiting so do the others, and nobody looks at them. So what a pass costs depends on what it
// starts and on how many lanes there are, not on how many wait.
template <typename Child>
class StartQueue {
 private:
  struct Entry {
    std::string lane;
    StartOrder::Place place;
  };

 public:
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }

  // At the end of its supervisor's.
  void Add(Child* child, const std::string& supervisor, int32_t priority, const std::string& lane) {
    if (empty()) order_.Clear();
    Insert(child, {lane, order_.Next(supervisor, priority)});
  }
  void Remove(Child* child) {
    if (auto it = entries_.find(child); it != entries_.end()) Erase(it);
  }

  // Once through the lanes. The queue may grow and shrink meanwhile.
  class Pass {
   public:
    explicit Pass(StartQueue* queue) : queue_(queue) {}
    // Whose turn it is; null: nobody else's in this pass.
    Child* child() const {
      const auto head = queue_->heads_.upper_bound(at_);
      return head == queue_->heads_.end() ? nullptr : head->second;
    }
    // Its lane waits.
    void Skip() { at_ = queue_->entries_.find(child())->second.place; }
    // Takes it out; the next of its lane may follow.
    void Take() {
      const auto it = queue_->entries_.find(child());
      taken_ = *it;
      queue_->Erase(it);
    }
    // What was taken last is served, or goes back to where it was: its lane waits.
    void Served() { queue_->order_.Served(taken_.second.place); }
    void PutBack() {
      queue_->Insert(taken_.first, taken_.second);
      at_ = taken_.second.place;
    }

   private:
    StartQueue* const queue_;
    StartOrder::Place at_ = StartOrder::kBeforeAll;
    std::pair<Child*, Entry> taken_;
  };

 private:
  using Lane = std::map<StartOrder::Place, Child*>;
  using Entries = absl::flat_hash_map<Child*, Entry>;  // never gone through: only found in

  void Insert(Child* child, const Entry& entry) {
    Lane& lane = lanes_[entry.lane];
    if (!lane.empty()) heads_.erase(lane.begin()->first);
    lane[entry.place] = child;
    heads_[lane.begin()->first] = lane.begin()->second;
    entries_[child] = entry;
  }
  void Erase(typename Entries::iterator it) {
    const auto lane = lanes_.find(it->second.lane);
    heads_.erase(lane->second.begin()->first);
    lane->second.erase(it->second.place);
    if (lane->second.empty()) {
      lanes_.erase(lane);
    } else {
      heads_[lane->second.begin()->first] = lane->second.begin()->second;
    }
    entries_.erase(it);
  }

  std::map<std::string, Lane> lanes_;
  std::map<StartOrder::Place, Child*> heads_;  // the first of each lane
  Entries entries_;
  StartOrder order_;
};

}  // namespace banyan

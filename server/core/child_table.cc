#include "server/core/child_table.h"

#include <algorithm>

#include "absl/hash/hash.h"

#include "common/base/check.h"

namespace banyan {

// The indexes hold slots only and look at the records for the rest. That of pids, which may have a
// million, keeps the hash beside the slot, so that growing it does not touch the records: about 16
// bytes a child.
struct ChildTable::IdHash {
  using is_transparent = void;
  const std::deque<ChildRecord>* slots;
  size_t operator()(std::string_view id) const { return absl::HashOf(id); }
  size_t operator()(uint32_t slot) const {
    return (*this)(std::string_view((*slots)[slot].spec->id));
  }
};
struct ChildTable::IdEq {
  using is_transparent = void;
  const std::deque<ChildRecord>* slots;
  std::string_view Id(std::string_view id) const { return id; }
  std::string_view Id(uint32_t slot) const { return (*slots)[slot].spec->id; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Id(a) == Id(b);
  }
};
struct ChildTable::PidEntry {
  uint32_t slot;
  uint32_t hash;
};
struct ChildTable::PidHash {
  using is_transparent = void;
  static uint32_t Of(const Pid& pid) { return static_cast<uint32_t>(absl::HashOf(pid)); }
  size_t operator()(const Pid& pid) const { return absl::HashOf(Of(pid)); }
  size_t operator()(const PidEntry& entry) const { return absl::HashOf(entry.hash); }
};
struct ChildTable::PidEq {
  using is_transparent = void;
  const std::deque<ChildRecord>* slots;
  const Pid& ThePid(const Pid& pid) const { return pid; }
  const Pid& ThePid(const PidEntry& entry) const { return (*slots)[entry.slot].pid; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return ThePid(a) == ThePid(b);
  }
};
struct ChildTable::Indexes {
  explicit Indexes(const std::deque<ChildRecord>* slots)
      : by_id(0, IdHash{slots}, IdEq{slots}), by_pid(0, PidHash{}, PidEq{slots}) {}
  absl::flat_hash_set<uint32_t, IdHash, IdEq> by_id;
  absl::flat_hash_set<PidEntry, PidHash, PidEq> by_pid;
};

ChildTable::ChildTable(bool by_id)
    : slots_(1),
      indexes_(new Indexes(&slots_), [](Indexes* indexes) { delete indexes; }),
      by_id_(by_id) {}

ChildRecord* ChildTable::Append(std::shared_ptr<const ChildSpec> spec) {
  uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (slots_.size() >= (size_t{1} << kSlotBits)) return nullptr;
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  return Emplace(slot, (++sequence_ << kSlotBits) | slot, std::move(spec));
}

ChildRecord* ChildTable::AppendWithKey(ChildKey key, std::shared_ptr<const ChildSpec> spec) {
  const uint32_t slot = SlotOf(key);
  while (slots_.size() <= slot) slots_.emplace_back();
  BANYAN_CHECK(slot != 0 && slots_[slot].key == kNoChild);
  sequence_ = std::max<uint64_t>(sequence_, key >> kSlotBits);
  return Emplace(slot, key, std::move(spec));
}

void ChildTable::FinishRestore() {
  free_.clear();
  for (uint32_t slot = 1; slot < slots_.size(); ++slot) {
    if (slots_[slot].key == kNoChild) free_.push_back(slot);
  }
}

ChildRecord* ChildTable::Emplace(uint32_t slot, ChildKey key,
                                 std::shared_ptr<const ChildSpec> spec) {
  ChildRecord& r = slots_[slot];
  r.key = key;
  r.spec = std::move(spec);
  LinkAtEnd(slot);
  ++size_;
  if (r.spec->type == ChildType::kSupervisor) ++supervisors_;
  if (by_id_) BANYAN_CHECK(indexes_->by_id.insert(slot).second);
  return &r;
}

void ChildTable::Remove(ChildKey key) {
  ChildRecord* r = Find(key);
  BANYAN_CHECK(r != nullptr);
  const uint32_t slot = SlotOf(key);
  SetPid(r, Pid{});
  if (by_id_) indexes_->by_id.erase(slot);
  if (r->spec->type == ChildType::kSupervisor) --supervisors_;
  Unlink(slot);
  *r = ChildRecord{};
  free_.push_back(slot);
  --size_;
}

ChildRecord* ChildTable::Find(ChildKey key) {
  const uint32_t slot = SlotOf(key);
  if (key == kNoChild || slot >= slots_.size() || slots_[slot].key != key) return nullptr;
  return &slots_[slot];
}
const ChildRecord* ChildTable::Find(ChildKey key) const {
  return const_cast<ChildTable*>(this)->Find(key);
}

const ChildRecord* ChildTable::FindById(std::string_view id) const {
  const auto it = indexes_->by_id.find(id);
  return it == indexes_->by_id.end() ? nullptr : &slots_[*it];
}

const ChildRecord* ChildTable::FindByPid(const Pid& pid) const {
  if (!pid.valid()) return nullptr;
  const auto it = indexes_->by_pid.find(pid);
  return it == indexes_->by_pid.end() ? nullptr : &slots_[it->slot];
}

void ChildTable::SetPid(ChildRecord* record, const Pid& pid) {
  if (record->pid == pid) return;
  auto& index = indexes_->by_pid;
  const uint32_t slot = SlotOf(record->key);
  if (record->pid.valid()) {
    // Two records may name one process when a start function returns a pid twice; the first is
    // found.
    const auto it = index.find(record->pid);
    if (it != index.end() && it->slot == slot) index.erase(it);
  }
  record->pid = pid;
  if (pid.valid()) index.insert(PidEntry{slot, PidHash::Of(pid)});
}

void ChildTable::SetSpec(ChildRecord* record, std::shared_ptr<const ChildSpec> spec) {
  if (record->spec->type == ChildType::kSupervisor) --supervisors_;
  if (spec->type == ChildType::kSupervisor) ++supervisors_;
  record->spec = std::move(spec);
}

void ChildTable::MoveToEnd(ChildRecord* record) {
  const uint32_t slot = SlotOf(record->key);
  Unlink(slot);
  LinkAtEnd(slot);
}

void ChildTable::LinkAtEnd(uint32_t slot) {
  ChildRecord& r = slots_[slot];
  r.prev = tail_;
  r.next = 0;
  (tail_ == 0 ? head_ : slots_[tail_].next) = slot;
  tail_ = slot;
}

void ChildTable::Unlink(uint32_t slot) {
  ChildRecord& r = slots_[slot];
  (r.prev == 0 ? head_ : slots_[r.prev].next) = r.next;
  (r.next == 0 ? tail_ : slots_[r.next].prev) = r.prev;
}

}  // namespace banyan

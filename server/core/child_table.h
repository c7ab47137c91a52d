#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"

#include "common/base/payload.h"
#include "common/base/pid.h"
#include "server/core/child_spec.h"
#include "server/core/supervisor_action.h"

namespace banyan {

enum class ChildState : uint8_t {
  kUndefined = 1,  // no process (OTP's pid `undefined`)
  kStarting = 2,   // a Start is out
  kRunning = 3,
  kStopping = 4,  // a Stop is out
  kRestarting =
      5,  // a restart failed or is delayed, a retry is scheduled (OTP's {restarting,OldPid})
};

using ExtraArgs = std::vector<Payload>;

// One child as its supervisor knows it. Small, since a simple_one_for_one may have a million.
struct ChildRecord {
  ChildKey key = kNoChild;
  std::shared_ptr<const ChildSpec> spec;        // dynamic children share the template
  std::unique_ptr<const ExtraArgs> extra_args;  // null: none, or no longer kept (temporary)
  Pid pid;  // kRunning, kStopping: the process; kStarting (a restart), kRestarting: the old one or
            // none
  uint32_t restarts = 0;  // automatic restarts that succeeded
  ChildState state = ChildState::kUndefined;
  bool retry_counted : 1 = false;  // the scheduled retry was counted when scheduled (back-off)
  bool restarting : 1 = false;     // kStarting: an automatic restart
  bool retrying : 1 = false;       // kStarting: one after a failed or delayed one
  bool op_start : 1 = false;       // kStarting: on behalf of start_child or restart_child
  bool op_new : 1 = false;         // kStarting: the record was made by that start_child
  bool in_group : 1 = false;       // member of the group restart under way
  bool waits : 1 = false;          // kStarting: nothing happens until there is room for it

  bool has_process() const {
    return state == ChildState::kRunning || state == ChildState::kStopping;
  }

 private:
  friend class ChildTable;
  uint32_t prev = 0;  // slots in start order; 0: none
  uint32_t next = 0;
};

struct ChildCounts {
  uint64_t specs = 0;
  uint64_t active = 0;
  uint64_t supervisors = 0;
  uint64_t workers = 0;
  friend bool operator==(const ChildCounts&, const ChildCounts&) = default;
};

// The child records of one supervisor in start order, found by key, id and pid in O(1).
// Pointers to records stay good until that record is removed.
class ChildTable {
 public:
  // `by_id`: index ids, which are then unique (not for simple_one_for_one).
  explicit ChildTable(bool by_id);
  ChildTable(const ChildTable&) = delete;
  ChildTable& operator=(const ChildTable&) = delete;

  // At the end of the start order. Null: 2^26 - 1 records exist.
  ChildRecord* Append(std::shared_ptr<const ChildSpec> spec);
  // For restoring into a fresh table: the record keeps its key, which must not be in use. After the
  // last one call FinishRestore.
  ChildRecord* AppendWithKey(ChildKey key, std::shared_ptr<const ChildSpec> spec);
  void FinishRestore();
  void Remove(ChildKey key);

  ChildRecord* Find(ChildKey key);
  const ChildRecord* Find(ChildKey key) const;
  const ChildRecord* FindById(std::string_view id) const;  // null in a table without ids
  const ChildRecord* FindByPid(const Pid& pid) const;      // also the old pid of a restarting one

  void SetPid(ChildRecord* record, const Pid& pid);
  void SetSpec(ChildRecord* record, std::shared_ptr<const ChildSpec> spec);  // same id
  void MoveToEnd(ChildRecord* record);

  // Start order.
  const ChildRecord* First() const { return At(head_); }
  const ChildRecord* Last() const { return At(tail_); }
  const ChildRecord* Next(const ChildRecord* r) const { return At(r->next); }
  const ChildRecord* Prev(const ChildRecord* r) const { return At(r->prev); }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  uint64_t supervisors() const { return supervisors_; }
  // The key that the next record will be greater than; goes into a snapshot.
  uint64_t sequence() const { return sequence_; }
  void set_sequence(uint64_t s) { sequence_ = s; }

 private:
  // A key is sequence:38 . slot:26, so finding needs no hash and keys rise.
  static constexpr int kSlotBits = 26;
  struct IdHash;
  struct IdEq;
  struct PidEntry;
  struct PidHash;
  struct PidEq;
  struct Indexes;

  ChildRecord* Emplace(uint32_t slot, ChildKey key, std::shared_ptr<const ChildSpec> spec);
  void LinkAtEnd(uint32_t slot);
  void Unlink(uint32_t slot);
  const ChildRecord* At(uint32_t slot) const { return slot == 0 ? nullptr : &slots_[slot]; }
  static uint32_t SlotOf(ChildKey key) { return key & ((1u << kSlotBits) - 1); }

  std::deque<ChildRecord> slots_;  // slot 0 is unused
  std::vector<uint32_t> free_;
  std::unique_ptr<Indexes, void (*)(Indexes*)> indexes_;
  const bool by_id_;
  uint32_t head_ = 0;
  uint32_t tail_ = 0;
  size_t size_ = 0;
  uint64_t supervisors_ = 0;
  uint64_t sequence_ = 0;
};

}  // namespace banyan

#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace banyan {

// Names one process, for ever: a pid is never reused. 128 bits.
//
// Inside a runtime a process of that same runtime has node_id 0 and incarnation 0; the two are
// filled in where a pid leaves the node and cleared where it comes back (common/wire), so a process
// started before its node joined the cluster needs no rewriting.
struct Pid {
  uint32_t node_id = 0;      // 0: this runtime
  uint32_t incarnation = 0;  // which life of that node; 0: this one
  uint64_t id = 0;           // slot in the low 32 bits, the slot's generation in the high ones

  static Pid Local(uint32_t slot, uint32_t generation) {
    return Pid{0, 0, (uint64_t{generation} << 32) | slot};
  }
  uint32_t slot() const { return static_cast<uint32_t>(id); }
  uint32_t generation() const { return static_cast<uint32_t>(id >> 32); }
  bool local() const { return node_id == 0; }
  // The null pid: names nothing. Slot 0 is never given out.
  bool valid() const { return id != 0; }
  explicit operator bool() const { return valid(); }

  friend auto operator<=>(const Pid&, const Pid&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Pid& p) {
    return H::combine(std::move(h), p.node_id, p.incarnation, p.id);
  }
};

// The cluster's coordinator, which hosts no processes but speaks as one.
inline constexpr uint32_t kCoordinatorNodeId = 0xFFFFFFFF;

// "NODE:INCARNATION:SLOT[.GENERATION]"; `node` is the node's name, or empty for its number.
std::string FormatPid(const Pid& pid, std::string_view node = {});

// One monitor, call or timer of one process; unique in the runtime for its whole life. 0: none.
using Ref = uint64_t;

// The fencing token of one start of a child of a cluster-wide supervisor:
// epoch:24 . seq:28 . attempt:11, 63 bits, so it fits a signed SQL BIGINT. 0: none.
class Fence {
 public:
  constexpr Fence() = default;
  constexpr explicit Fence(uint64_t value) : value_(value) {}
  static constexpr Fence Make(uint32_t epoch, uint32_t seq, uint32_t attempt = 0) {
    return Fence((uint64_t{epoch} << 39) | (uint64_t{seq} << 11) | attempt);
  }
  constexpr uint64_t value() const { return value_; }
  constexpr uint32_t epoch() const { return static_cast<uint32_t>(value_ >> 39); }
  constexpr uint32_t seq() const { return static_cast<uint32_t>(value_ >> 11) & 0x0FFFFFFF; }
  constexpr uint32_t attempt() const { return static_cast<uint32_t>(value_) & 0x7FF; }
  friend auto operator<=>(const Fence&, const Fence&) = default;

 private:
  uint64_t value_ = 0;
};
inline constexpr uint32_t kFenceSeqMax = (1u << 28) - 1;

}  // namespace banyan

template <>
struct std::hash<banyan::Pid> {
  size_t operator()(const banyan::Pid& p) const noexcept {
    return std::hash<uint64_t>()(p.id ^ (uint64_t{p.node_id} << 40) ^
                                 (uint64_t{p.incarnation} << 20));
  }
};

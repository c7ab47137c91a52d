#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "server/runtime/process.h"

namespace banyan {

// All slots. They live until the runtime is destroyed, so a pointer to one is always good.
class ProcessTable {
 public:
  ProcessTable(Runtime* rt, uint32_t max);
  ~ProcessTable();
  // The slot, or null if it was never used.
  Process* Get(uint32_t slot) const {
    if (slot >= kChunk * kChunks) return nullptr;
    Chunk* chunk = chunks_[slot / kChunk].load(std::memory_order_acquire);
    return chunk ? &(*chunk)[slot % kChunk] : nullptr;
  }
  Process* Get(Pid pid) const { return Get(pid.slot()); }
  // A slot taken for a new life, or null at the limit.
  Process* Acquire();
  void Free(uint32_t slot);
  size_t live() const { return live_.load(std::memory_order_relaxed); }
  uint32_t high_water() const { return high_.load(std::memory_order_acquire); }

  // What people are shown of a process, read while it runs or ends.
  struct LabelView {
    std::string module, child_id;
    Pid parent;
    absl::Time start_time;
  };
  LabelView label(const Process& p) const;
  void set_label(Process& p, Process::Label label);
  void set_module(Process& p, const std::string& module);
  // Module names are few and live as long as the table.
  const std::string* Intern(const std::string& module);

 private:
  static constexpr uint32_t kChunk = 1024;
  static constexpr uint32_t kChunks = 16384;
  using Chunk = std::array<Process, kChunk>;
  void* MemoryForChunk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Runtime* const rt_;
  const uint32_t max_;
  std::atomic<size_t> live_{0};
  std::atomic<uint32_t> high_{1};  // slot 0 is never given out
  mutable Mutex mu_;
  std::deque<uint32_t> free_ ABSL_GUARDED_BY(mu_);
  mutable std::array<Mutex, 64> label_mu_;
  Mutex modules_mu_;
  std::set<std::string> modules_ ABSL_GUARDED_BY(modules_mu_);
  // One of modules_: whoever starts many processes starts them of one module.
  std::atomic<const std::string*> last_module_{nullptr};
  std::unique_ptr<std::atomic<Chunk*>[]> chunks_;
  std::vector<void*> blocks_ ABSL_GUARDED_BY(mu_);  // what chunks are made in
  size_t block_left_ ABSL_GUARDED_BY(mu_) = 0;      // chunks that the last one has room for
};

}  // namespace banyan

#include "server/runtime/process_table.h"

#include <cstdlib>
#include <new>

#include <sys/mman.h>

namespace banyan {

ProcessTable::ProcessTable(Runtime* rt, uint32_t max)
    : rt_(rt),
      max_(std::min(max, kChunk * kChunks - 1)),
      chunks_(new std::atomic<Chunk*>[kChunks]) {
  for (uint32_t i = 0; i < kChunks; ++i) chunks_[i].store(nullptr, std::memory_order_relaxed);
}

ProcessTable::~ProcessTable() {
  for (uint32_t i = 0; i < kChunks; ++i) {
    if (Chunk* chunk = chunks_[i].load(std::memory_order_relaxed)) chunk->~Chunk();
  }
  for (void* block : blocks_) std::free(block);
}

// Several chunks are made in one block of 2 MiB, in huge pages where the kernel grants them: fresh
// memory is what a start costs most.
void* ProcessTable::MemoryForChunk() {
  constexpr size_t kBlock = 2 << 20;
  constexpr size_t kFit = kBlock / sizeof(Chunk);
  static_assert(kFit > 0);
  if (block_left_ == 0) {
    void* block = std::aligned_alloc(kBlock, kBlock);
    if (!block) throw std::bad_alloc();
    madvise(block, kBlock, MADV_HUGEPAGE);  // no more than a wish
    blocks_.push_back(block);
    block_left_ = kFit;
  }
  return static_cast<std::byte*>(blocks_.back()) + (kFit - block_left_--) * sizeof(Chunk);
}

Process* ProcessTable::Acquire() {
  MutexLock lock(&mu_);
  if (live_.load(std::memory_order_relaxed) >= max_) return nullptr;
  // A slot whose stray signals are being answered right now is not free for another moment.
  for (size_t tries = std::min<size_t>(free_.size(), 4); tries > 0; --tries) {
    uint32_t slot = free_.front();
    free_.pop_front();
    Process* p = Get(slot);
    if (p->Acquire()) {
      live_.fetch_add(1, std::memory_order_relaxed);
      return p;
    }
    free_.push_back(slot);
  }
  uint32_t slot = high_.load(std::memory_order_relaxed);
  if (slot > max_) return nullptr;
  std::atomic<Chunk*>& cell = chunks_[slot / kChunk];
  Chunk* chunk = cell.load(std::memory_order_relaxed);
  if (!chunk) {
    chunk = new (MemoryForChunk()) Chunk();
    for (uint32_t i = 0; i < kChunk; ++i) {
      (*chunk)[i].rt_ = rt_;
      (*chunk)[i].slot_ = slot / kChunk * kChunk + i;
    }
    cell.store(chunk, std::memory_order_release);
  }
  high_.store(slot + 1, std::memory_order_release);
  Process* p = &(*chunk)[slot % kChunk];
  // Somebody may have sent to a pid that was never given out: then its answer is under way.
  while (!p->Acquire()) {
  }
  live_.fetch_add(1, std::memory_order_relaxed);
  return p;
}

void ProcessTable::Free(uint32_t slot) {
  MutexLock lock(&mu_);
  live_.fetch_sub(1, std::memory_order_relaxed);
  free_.push_back(slot);
}

ProcessTable::LabelView ProcessTable::label(const Process& p) const {
  MutexLock lock(&label_mu_[p.slot_ % label_mu_.size()]);
  const Process::Label& l = p.label_;
  return {l.module ? *l.module : "", l.child_id ? *l.child_id : "", l.parent,
          absl::FromUnixNanos(l.start_unix_ns)};
}

void ProcessTable::set_label(Process& p, Process::Label label) {
  MutexLock lock(&label_mu_[p.slot_ % label_mu_.size()]);
  p.label_ = std::move(label);
}

void ProcessTable::set_module(Process& p, const std::string& module) {
  const std::string* interned = Intern(module);
  MutexLock lock(&label_mu_[p.slot_ % label_mu_.size()]);
  p.label_.module = interned;
}

const std::string* ProcessTable::Intern(const std::string& module) {
  const std::string* last = last_module_.load(std::memory_order_acquire);
  if (last && *last == module) return last;
  MutexLock lock(&modules_mu_);
  last = &*modules_.insert(module).first;
  last_module_.store(last, std::memory_order_release);
  return last;
}

}  // namespace banyan

#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace banyan {

// The start of a child of a cluster-wide supervisor, as the processes that belong to it share it:
// the child's own, and all that those spawn. Outlives them.
struct ProcessOrigin {
  ProcessOrigin(uint64_t f, std::string p) : fence(f), path(std::move(p)) {}
  // Rises when this life is kept under a newer fence; never 0.
  std::atomic<uint64_t> fence;
  const std::string path;  // ids from the root's name on, joined by '/'
};

// Whose code this thread runs: of a process, or a job of one's Blocking(). Null: nobody's.
// Async-signal-safe, for handlers of a crash on this very thread.
const ProcessOrigin* OriginOnThisThread() noexcept;

// While it is alive, this thread works for that origin.
class WorkingFor {
 public:
  explicit WorkingFor(const ProcessOrigin* origin) noexcept;
  ~WorkingFor();
  WorkingFor(const WorkingFor&) = delete;
  WorkingFor& operator=(const WorkingFor&) = delete;

 private:
  const ProcessOrigin* const before_;
};

}  // namespace banyan

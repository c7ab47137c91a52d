#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/mutex.h"
#include "common/base/pid.h"

namespace banyan {

// Which partitioned supervisors a node has: read by everybody who looks for a partition, so no
// process is asked. Any thread.
class PartitionTable {
 public:
  struct Entry {
    uint32_t started = 0;  // partitions at the start
    uint32_t serving = 0;  // keys are spread over the first so many
    Pid supervisor;        // invalid while it starts
  };
  void Put(const std::string& name, const Entry& entry) {
    MutexLock lock(&mu_);
    entries_[name] = entry;
  }
  std::optional<Entry> Find(const std::string& name) const {
    MutexLock lock(&mu_);
    const auto it = entries_.find(name);
    if (it == entries_.end()) return std::nullopt;
    return it->second;
  }

 private:
  mutable Mutex mu_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan

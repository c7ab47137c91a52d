#include "common/base/named_pid.h"

#include <list>

#include "absl/container/flat_hash_map.h"

#include "common/base/mutex.h"

namespace banyan {
namespace {

// Generations are not given out again while their name is known, so an address that was forgotten
// means nobody.
class NameTable {
 public:
  static NameTable& Get() {
    static NameTable* const table = new NameTable;
    return *table;
  }

  uint32_t Use(std::string_view name) {
    MutexLock lock(&mu_);
    auto it = by_name_.find(name);
    if (it != by_name_.end()) {
      Entry& entry = entries_.at(it->second);
      if (entry.holds == 0) idle_.splice(idle_.end(), idle_, entry.idle);
      return it->second;
    }
    do {
      ++last_;
    } while (last_ == 0 || entries_.contains(last_));
    Entry& entry = entries_[last_];
    entry.name = std::make_shared<const std::string>(name);
    by_name_.emplace(*entry.name, last_);
    MakeIdle(last_, &entry);
    return last_;
  }

  std::shared_ptr<const std::string> Find(uint32_t generation) {
    MutexLock lock(&mu_);
    auto it = entries_.find(generation);
    return it == entries_.end() ? nullptr : it->second.name;
  }

  void Hold(uint32_t generation) {
    MutexLock lock(&mu_);
    auto it = entries_.find(generation);
    if (it != entries_.end() && it->second.holds++ == 0) idle_.erase(it->second.idle);
  }

  void Release(uint32_t generation) {
    MutexLock lock(&mu_);
    auto it = entries_.find(generation);
    if (it == entries_.end() || it->second.holds == 0) return;
    if (--it->second.holds == 0) MakeIdle(generation, &it->second);
  }

 private:
  struct Entry {
    std::shared_ptr<const std::string> name;
    size_t holds = 0;
    std::list<uint32_t>::iterator idle;  // while nobody holds it
  };

  void MakeIdle(uint32_t generation, Entry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    entry->idle = idle_.insert(idle_.end(), generation);
    if (idle_.size() <= kNamedPidsIdleMax) return;
    auto oldest = entries_.find(idle_.front());
    idle_.pop_front();
    by_name_.erase(*oldest->second.name);
    entries_.erase(oldest);
  }

  Mutex mu_;
  uint32_t last_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<uint32_t, Entry> entries_ ABSL_GUARDED_BY(mu_);  // by generation
  absl::flat_hash_map<std::string_view, uint32_t> by_name_ ABSL_GUARDED_BY(mu_);
  std::list<uint32_t> idle_ ABSL_GUARDED_BY(mu_);  // the one that was used last at the end
};

}  // namespace

Pid NamedPid(uint32_t node_id, uint32_t incarnation, std::string_view name) {
  return {node_id, incarnation, uint64_t{NameTable::Get().Use(name)} << 32};
}

std::shared_ptr<const std::string> NameOf(const Pid& pid) {
  if (pid.slot() != 0 || pid.generation() == 0) return nullptr;
  return NameTable::Get().Find(pid.generation());
}

void KeptPid::HoldName() const { NameTable::Get().Hold(generation()); }
void KeptPid::ReleaseName() const { NameTable::Get().Release(generation()); }

}  // namespace banyan

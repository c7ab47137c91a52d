#include "common/base/named_pid.h"

#include <deque>

#include "absl/container/flat_hash_map.h"

#include "common/base/mutex.h"

namespace banyan {
namespace {

struct NameTable {
  Mutex mu;
  std::deque<std::string> names ABSL_GUARDED_BY(mu);  // by generation - 1; they do not move
  absl::flat_hash_map<std::string_view, uint32_t> generations ABSL_GUARDED_BY(mu);
};

NameTable& Names() {
  static NameTable* const table = new NameTable;
  return *table;
}

}  // namespace

Pid NamedPid(uint32_t node_id, uint32_t incarnation, std::string_view name) {
  NameTable& table = Names();
  MutexLock lock(&table.mu);
  auto it = table.generations.find(name);
  if (it == table.generations.end()) {
    if (table.names.size() >= kNamedPidsMax) return {};
    const std::string& kept = table.names.emplace_back(name);
    it = table.generations.emplace(kept, static_cast<uint32_t>(table.names.size())).first;
  }
  return {node_id, incarnation, uint64_t{it->second} << 32};
}

const std::string* NameOf(const Pid& pid) {
  if (pid.slot() != 0 || pid.generation() == 0) return nullptr;
  NameTable& table = Names();
  MutexLock lock(&table.mu);
  return pid.generation() <= table.names.size() ? &table.names[pid.generation() - 1] : nullptr;
}

}  // namespace banyan

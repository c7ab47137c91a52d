#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/pid.h"
#include "server/runtime/process_table.h"

namespace banyan {

// Names of this runtime. A name belongs to one live process and is free again before anybody hears
// of its death.
class LocalRegistry {
 public:
  using Observer = std::function<void(const std::string& name, Pid pid, bool registered)>;

  explicit LocalRegistry(ProcessTable* table) : table_(table) {}
  void SetObserver(Observer observer) { observer_ = std::move(observer); }
  // True also if `pid` has that name already.
  bool Register(const std::string& name, Pid pid);
  bool Unregister(const std::string& name);
  std::optional<Pid> Whereis(const std::string& name) const;
  std::vector<std::string> NamesOf(Pid pid) const;
  std::vector<std::pair<std::string, Pid>> List() const;
  // Frees all names of a process that ends.
  void Release(Pid pid);

 private:
  ProcessTable* const table_;
  Observer observer_;
  mutable Mutex mu_;
  std::map<std::string, Pid> by_name_ ABSL_GUARDED_BY(mu_);
  std::map<Pid, std::vector<std::string>> by_pid_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan

#include "server/runtime/local_registry.h"

#include <algorithm>

namespace banyan {

bool LocalRegistry::Register(const std::string& name, Pid pid) {
  {
    MutexLock lock(&mu_);
    Process* p = table_->Get(pid);
    if (!p) return false;
    // Before the look at its life: a process that dies after it then sees that it has to come here.
    p->has_name_.store(true);
    if (!p->Alive(pid.generation())) return false;
    auto it = by_name_.find(name);
    if (it != by_name_.end()) return it->second == pid;
    by_name_.emplace(name, pid);
    by_pid_[pid].push_back(name);
  }
  if (observer_) observer_(name, pid, true);
  return true;
}

bool LocalRegistry::Unregister(const std::string& name) {
  Pid pid;
  {
    MutexLock lock(&mu_);
    auto it = by_name_.find(name);
    if (it == by_name_.end()) return false;
    pid = it->second;
    by_name_.erase(it);
    auto names = by_pid_.find(pid);
    std::erase(names->second, name);
    if (names->second.empty()) by_pid_.erase(names);
  }
  if (observer_) observer_(name, pid, false);
  return true;
}

std::optional<Pid> LocalRegistry::Whereis(const std::string& name) const {
  MutexLock lock(&mu_);
  auto it = by_name_.find(name);
  if (it == by_name_.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> LocalRegistry::NamesOf(Pid pid) const {
  MutexLock lock(&mu_);
  auto it = by_pid_.find(pid);
  return it == by_pid_.end() ? std::vector<std::string>{} : it->second;
}

std::vector<std::pair<std::string, Pid>> LocalRegistry::List() const {
  MutexLock lock(&mu_);
  return {by_name_.begin(), by_name_.end()};
}

void LocalRegistry::Release(Pid pid) {
  std::vector<std::string> names;
  {
    MutexLock lock(&mu_);
    auto it = by_pid_.find(pid);
    if (it == by_pid_.end()) return;
    names = std::move(it->second);
    by_pid_.erase(it);
    for (const std::string& name : names) by_name_.erase(name);
  }
  if (!observer_) return;
  for (const std::string& name : names) observer_(name, pid, false);
}

}  // namespace banyan

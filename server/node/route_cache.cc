#include "server/node/route_cache.h"

namespace banyan {

std::optional<RouteCache::Route> RouteCache::Find(const std::string& name) {
  auto it = index_.find(name);
  if (it == index_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->route;
}

bool RouteCache::Put(const std::string& name, Route route) {
  if (auto it = index_.find(name); it != index_.end()) {
    if (it->second->route.reg_version > route.reg_version) return false;
    it->second->route = route;
    entries_.splice(entries_.begin(), entries_, it->second);
    return true;
  }
  entries_.push_front({name, route});
  index_[name] = entries_.begin();
  if (index_.size() > max_) Erase(std::string(entries_.back().name));
  return true;
}

void RouteCache::Erase(const std::string& name) {
  auto it = index_.find(name);
  if (it == index_.end()) return;
  entries_.erase(it->second);
  index_.erase(it);
}

void RouteCache::Release(const std::string& name, uint64_t reg_version) {
  auto it = index_.find(name);
  if (it == index_.end()) return OnUnknown();
  if (it->second->route.reg_version <= reg_version) Erase(name);
}

void RouteCache::EraseIf(const std::function<bool(const Route&)>& wrong) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    auto now = it++;
    if (!wrong(now->route)) continue;
    index_.erase(now->name);
    entries_.erase(now);
  }
}

void RouteCache::Clear() {
  ++round_;
  index_.clear();
  entries_.clear();
}

}  // namespace banyan

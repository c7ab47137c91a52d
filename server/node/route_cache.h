#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"

#include "common/base/pid.h"

namespace banyan {

// Holders of cluster names as the coordinator told, least recently used out first. There is no age:
// a route holds until somebody says that it is wrong.
class RouteCache {
 public:
  struct Route {
    Pid pid;  // of another node, or local
    uint64_t reg_version = 0;
  };
  explicit RouteCache(size_t max) : max_(max) {}

  std::optional<Route> Find(const std::string& name);
  // False: a newer registration is known.
  bool Put(const std::string& name, Route route);
  void Erase(const std::string& name);
  // Only if it is not newer than `reg_version`.
  void Release(const std::string& name, uint64_t reg_version);
  void EraseIf(const std::function<bool(const Route&)>& wrong);
  void Clear();
  // The coordinator told of a name that has no route here.
  void OnUnknown() { ++round_; }
  // Another number: what was asked before may have become wrong without our hearing of it, so its
  // answer must not be kept. An answer and the news that it is over come by different ways.
  uint64_t round() const { return round_; }
  size_t size() const { return index_.size(); }

 private:
  struct Entry {
    std::string name;
    Route route;
  };
  const size_t max_;
  uint64_t round_ = 0;
  std::list<Entry> entries_;  // most recently used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace banyan

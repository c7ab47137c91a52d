#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/target.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

struct Child;
struct Member;

// Finds where a target is, and lets those wait whose child is between two lives.
class Resolver {
 public:
  explicit Resolver(Coordinator::Core* core) : core_(core) {}
  void Resolve(const Target& target, Instant deadline, Reply<ResolvedTarget> done);

  void OnChildStarted(Child* child);
  // It has no process now, and its planner has been told or is about to be: those who wait for it
  // stay if it comes back, else they are answered.
  void OnChildDown(Child* child);
  void OnChildGone(Child* child);
  void OnName(const std::string& name) {}

 private:
  struct Waiter {
    std::vector<std::string> rest;
    Reply<ResolvedTarget> done;
    uint64_t timer = 0;
  };
  void ToPid(const Pid& pid, const Reply<ResolvedTarget>& done);
  void ToPath(const Target::ChildPath& path, Instant deadline, Reply<ResolvedTarget> done);
  void ToChild(Child* child, std::vector<std::string> rest, Instant deadline,
               Reply<ResolvedTarget> done);
  bool ComesBack(const Child* child) const;
  ResolvedTarget At(const Child* child, std::vector<std::string> rest) const;
  void Fail(const std::string& path_key, const absl::Status& status);

  Coordinator::Core* const core_;
  std::map<std::string, std::map<uint64_t, Waiter>> waiting_;  // by path key
  uint64_t last_ = 0;
};

}  // namespace banyan

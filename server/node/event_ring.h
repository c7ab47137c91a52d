#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "banyan/v1/supervisors.pb.h"
#include "common/base/mutex.h"
#include "common/time/clock.h"
#include "common/wire/pid.h"
#include "server/behaviours/host.h"
#include "server/node/node.h"

namespace banyan {

// SupervisorInfo::path as other nodes see it: a root without a name gets the node's own ids.
std::vector<std::string> QualifiedPath(std::vector<std::string> path,
                                       const wire::NodeIdentity& self, const std::string& node);

// The last events of this node's supervisors. Thread-safe; answers come on the executor.
class EventRing : public SupervisorEvents, public std::enable_shared_from_this<EventRing> {
 public:
  EventRing(size_t max, Clock* clock, Timers* timers, Executor* executor)
      : max_(max), clock_(clock), timers_(timers), executor_(executor) {}

  // What local supervisors do, as the host hears it.
  void OnEvent(const SupervisorEvent& event) override;

  void SetIdentity(wire::NodeIdentity self, std::string node);
  void Publish(v1::SupervisorEvent event);
  uint64_t end() const;
  void Next(uint64_t after, size_t max, Instant deadline, std::function<void(NodeEvents)> done);

 private:
  struct Waiter {
    uint64_t id;
    uint64_t after;
    size_t max;
    Timers::Id timer = 0;
    std::function<void(NodeEvents)> done;
  };
  NodeEvents Read(uint64_t after, size_t max) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Expire(uint64_t waiter);

  const size_t max_;
  Clock* const clock_;
  Timers* const timers_;
  Executor* const executor_;
  mutable Mutex mu_;
  wire::NodeIdentity self_ ABSL_GUARDED_BY(mu_);
  std::string node_ ABSL_GUARDED_BY(mu_);
  std::deque<v1::SupervisorEvent> events_ ABSL_GUARDED_BY(mu_);
  uint64_t first_ ABSL_GUARDED_BY(mu_) = 1;  // position of events_.front()
  uint64_t last_waiter_ ABSL_GUARDED_BY(mu_) = 0;
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan

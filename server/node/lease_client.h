#pragma once

#include <memory>
#include <string>

#include "banyan/internal/v1/membership.pb.h"
#include "server/cluster/strand_timer.h"
#include "server/cluster/transport.h"
#include "server/core/lease.h"
#include "server/node/node.h"
#include "server/node/redial.h"
#include "server/node/stream_link.h"

namespace banyan {

// Heartbeats on a stream of their own, and what follows when their acknowledgements stop: exclusive
// children are frozen, then must not run (cluster.md 2.3, 2.5).
class LeaseClient {
 public:
  explicit LeaseClient(Node::Core* node);

  // A control session is up. A new life begins without a lease; the same one keeps its own.
  void Begin(const LeaseTimes& times, bool new_life);
  void Stop();

  bool frozen() const { return frozen_; }
  uint32_t epoch() const { return lease_.epoch(); }
  bool AcceptEpoch(uint32_t epoch) { return lease_.AcceptEpoch(epoch); }
  const LeaseTimes& times() const { return times_; }

 private:
  void OnFrame(std::string bytes);
  void OnClose(const absl::Status& status);
  void Dial();
  void Beat();
  void ArmFreeze();
  void Watch();
  void SetFrozen(bool frozen);
  std::vector<Pid> MustAbort() const;

  Node::Core* const node_;
  LeaseTimes times_;
  NodeLease lease_;
  bool on_ = false;
  bool frozen_ = false;
  bool frozen_told_ = false;  // the watcher was told that nothing runs
  bool overrun_told_ = false;
  StreamLink stream_;
  std::string address_;
  absl::Duration pause_ = absl::ZeroDuration();
  StrandTimer dial_timer_;
  StrandTimer beat_timer_;
  StrandTimer freeze_timer_;
};

}  // namespace banyan

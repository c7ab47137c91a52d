#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

#include "common/time/instant.h"

namespace banyan {

// L6: how fast one node's clock runs against the coordinator's. Leases hold only while the two
// differ by less than the drift that their times allow for. Pure; not thread-safe.
//
// A heartbeat arrives late by an unknown, changing delay. The least delayed one of each twentieth
// of the window is kept, and a line is fitted through them. A clock that stood still, with its
// virtual machine, and then went on has not drifted: single steps are taken out, be they the node's
// or the coordinator's (then all nodes show them). Who stands still all the time does drift.
class DriftGuard {
 public:
  explicit DriftGuard(absl::Duration window = absl::Minutes(10)) : window_(window) {}

  // A heartbeat that was sent at `sent_ns` by the node's clock came in.
  void OnHeartbeat(uint64_t sent_ns, Instant now);
  // 0.001: the node's clock is 0.1 % faster. Nullopt: less than half a window was seen.
  std::optional<double> drift() const { return drift_; }

 private:
  struct Sample {
    int64_t sent_ns = 0;
    Instant came;
    int64_t lag() const { return came.nanos() - sent_ns; }  // by two clocks: only differences count
  };
  void Fit();

  absl::Duration window_;
  std::deque<Sample> samples_;  // the least delayed of each part, oldest first
  Instant part_began_;
  int64_t last_ns_ = 0;
  std::optional<double> drift_;
};

}  // namespace banyan

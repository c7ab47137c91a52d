#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "common/base/mutex.h"
#include "common/base/pid.h"

namespace banyan {

class Process;
class Runtime;

// Who hears of processes that hold the runtime up, and of what (OTP's system_monitor).
struct SystemMonitorSetting {
  Pid receiver;  // gets SystemMonitorEvents as plain messages; not told of itself
  // A turn on a worker took at least this long: the process did not give way. Less than
  // kMinLongSchedule is raised to that.
  absl::Duration long_schedule = absl::InfiniteDuration();

  friend bool operator==(const SystemMonitorSetting&, const SystemMonitorSetting&) = default;
};
inline constexpr absl::Duration kMinLongSchedule = absl::Milliseconds(1);

// {monitor,Who,long_schedule,[{timeout,Ms},...]}: a local payload, sent after the turn. `who` may
// be dead by then.
struct SystemMonitorEvent {
  Pid who;
  std::string module;
  absl::Duration took;
};

// A runtime's one setting, and the clock that it puts beside every turn while it is on.
// Thread-safe.
class SystemMonitor {
 public:
  explicit SystemMonitor(Runtime* runtime) : runtime_(runtime) {}
  // Replaces the setting, nullopt: by none, and returns what it was. Error: NOPROC for a receiver
  // that is not a living process of this runtime; then nothing changes.
  absl::StatusOr<std::optional<SystemMonitorSetting>> Set(
      std::optional<SystemMonitorSetting> setting);
  // nullopt: none, or its receiver has ended.
  std::optional<SystemMonitorSetting> Get() const;

  bool watching() const { return long_schedule_ns_.load(std::memory_order_relaxed) != kOff; }
  // Runs a turn of `p` and tells the receiver if it was long. What Process::Run() returned.
  bool RunWatched(Process* p);

 private:
  static constexpr int64_t kOff = INT64_MAX;
  std::optional<SystemMonitorSetting> GetLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Runtime* const runtime_;
  std::atomic<int64_t> long_schedule_ns_{kOff};
  mutable Mutex mu_;
  std::optional<SystemMonitorSetting> setting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan

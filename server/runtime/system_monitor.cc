#include "server/runtime/system_monitor.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/runtime/process.h"
#include "server/runtime/process_table.h"
#include "server/runtime/runtime.h"

namespace banyan {

std::optional<SystemMonitorSetting> SystemMonitor::GetLocked() const {
  if (!setting_ || !runtime_->IsAlive(setting_->receiver)) return std::nullopt;
  return setting_;
}

std::optional<SystemMonitorSetting> SystemMonitor::Get() const {
  MutexLock lock(&mu_);
  return GetLocked();
}

absl::StatusOr<std::optional<SystemMonitorSetting>> SystemMonitor::Set(
    std::optional<SystemMonitorSetting> setting) {
  if (setting && !runtime_->IsAlive(setting->receiver)) {
    return MakeError("NOPROC",
                     fmt::format("{} is no process of this runtime", FormatPid(setting->receiver)));
  }
  int64_t limit = kOff;
  if (setting && setting->long_schedule != absl::InfiniteDuration()) {
    setting->long_schedule = std::max(setting->long_schedule, kMinLongSchedule);
    limit = absl::ToInt64Nanoseconds(setting->long_schedule);
  }
  MutexLock lock(&mu_);
  std::optional<SystemMonitorSetting> before = GetLocked();
  setting_ = std::move(setting);
  long_schedule_ns_.store(limit, std::memory_order_relaxed);
  return before;
}

bool SystemMonitor::RunWatched(Process* p) {
  SystemMonitorEvent event{p->pid(), runtime_->table().label(*p).module, {}};
  const Instant start = runtime_->clock().Now();
  const bool again = p->Run();  // `p` may be another process by now
  event.took = runtime_->clock().Now() - start;
  MutexLock lock(&mu_);
  setting_ = GetLocked();
  if (!setting_) {
    long_schedule_ns_.store(kOff, std::memory_order_relaxed);
  } else if (event.took >= setting_->long_schedule && event.who != setting_->receiver) {
    runtime_->Send(setting_->receiver, Payload::Local(std::move(event)));
  }
  return again;
}

}  // namespace banyan

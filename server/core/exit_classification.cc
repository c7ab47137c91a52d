#include "server/core/exit_classification.h"

namespace banyan {

ExitDecision ClassifyExit(RestartType type, const ExitReason& reason) {
  switch (type) {
    case RestartType::kPermanent:
      return {.restart = true, .report = true};
    case RestartType::kTransient:
      return {.restart = reason.abnormal(), .report = reason.abnormal()};
    case RestartType::kTemporary:
      return {.restart = false, .report = reason.abnormal()};
  }
  return {};
}

bool StopIsAbnormal(const ShutdownPolicy& policy, RestartType type, const ExitReason& reason) {
  const bool permanent = type == RestartType::kPermanent;
  switch (reason.kind()) {
    case ExitReason::Kind::kKilled:
      return !policy.brutal_kill;
    case ExitReason::Kind::kShutdown:
      if (reason.is_shutdown_with_detail() || policy.brutal_kill) return permanent;
      return false;
    case ExitReason::Kind::kNormal:
      return permanent;
    default:
      return true;
  }
}

}  // namespace banyan

#include "server/core/exit_classification.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

const auto kPermanent = RestartType::kPermanent;
const auto kTransient = RestartType::kTransient;
const auto kTemporary = RestartType::kTemporary;

ExitReason ShutdownWith() { return ExitReason::Shutdown(Payload::Any("t/x.Y", "1")); }

struct ExitRow {
  ExitReason reason;
  bool clean;
};
std::vector<ExitRow> Reasons() {
  return {{ExitReason::Normal(), true},
          {ExitReason::Shutdown(), true},
          {ShutdownWith(), true},
          {ExitReason::Killed(), false},
          {ExitReason::Kill(), false},
          {ExitReason::NoProc(), false},
          {ExitReason::NoConnection(), false},
          {ExitReason::Timeout(), false},
          {ExitReason::Error("boom"), false},
          {ExitReason::FailedToStartChild("c", ExitReason::Error("x")), true}};
}

TEST(ExitMatrix, PermanentIsAlwaysReportedAndRestarted) {
  for (const ExitRow& row : Reasons()) {
    EXPECT_EQ(ClassifyExit(kPermanent, row.reason), (ExitDecision{true, true}))
        << row.reason.ToString();
  }
}
TEST(ExitMatrix, TransientOnlyWhenAbnormal) {
  for (const ExitRow& row : Reasons()) {
    EXPECT_EQ(ClassifyExit(kTransient, row.reason), (ExitDecision{!row.clean, !row.clean}))
        << row.reason.ToString();
  }
}
TEST(ExitMatrix, TemporaryIsNeverRestartedButReportedWhenAbnormal) {
  for (const ExitRow& row : Reasons()) {
    EXPECT_EQ(ClassifyExit(kTemporary, row.reason), (ExitDecision{false, !row.clean}))
        << row.reason.ToString();
  }
}

TEST(StopMatrix, ReportsByPolicyTypeAndReason) {
  struct Row {
    ExitReason reason;
    bool kill_permanent, kill_other, timed_permanent, timed_other;  // reported
  };
  const Row rows[] = {
      {ExitReason::Killed(), false, false, true, true},
      {ExitReason::Shutdown(), true, false, false, false},
      {ShutdownWith(), true, false, true, false},
      {ExitReason::Normal(), true, false, true, false},
      {ExitReason::Error("boom"), true, true, true, true},
      {ExitReason::NoProc(), true, true, true, true},
      {ExitReason::NoConnection(), true, true, true, true},
  };
  const ShutdownPolicy kill = ShutdownPolicy::BrutalKill();
  for (const Row& row : rows) {
    SCOPED_TRACE(row.reason.ToString());
    EXPECT_EQ(StopIsAbnormal(kill, kPermanent, row.reason), row.kill_permanent);
    for (RestartType other : {kTransient, kTemporary}) {
      EXPECT_EQ(StopIsAbnormal(kill, other, row.reason), row.kill_other);
    }
    for (const ShutdownPolicy& timed :
         {ShutdownPolicy::Infinity(), ShutdownPolicy::Timeout(absl::Seconds(1)),
          ShutdownPolicy::Timeout(absl::ZeroDuration())}) {
      EXPECT_EQ(StopIsAbnormal(timed, kPermanent, row.reason), row.timed_permanent);
      EXPECT_EQ(StopIsAbnormal(timed, kTransient, row.reason), row.timed_other);
      EXPECT_EQ(StopIsAbnormal(timed, kTemporary, row.reason), row.timed_other);
    }
  }
}

}  // namespace
}  // namespace banyan

// What a signal meets when others of the same sender, or of the process itself, came before it.
#include <optional>

#include "gtest/gtest.h"

#include "common/time/virtual_time.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

class OrderOfSignals : public ::testing::Test {
 protected:
  OrderOfSignals() : rt_({.clock = &time_, .timers = &time_, .workers = 0, .executor = &time_}) {}
  ~OrderOfSignals() override { rt_.Shutdown(); }

  static Task<ExitReason> Idle(Self& self) {
    for (;;) co_await self.Receive();
  }
  // The reason of the first 'EXIT' or DOWN that somebody receives who has done `what` to an idle
  // process; empty: none came.
  std::string FirstReason(std::function<void(Self&, Pid)> what, bool dead = false) {
    const Pid target = *rt_.Spawn(Idle);
    if (dead) rt_.Exit(target, ExitReason::Kill());
    time_.RunUntilIdle();
    std::string text;
    SpawnOptions trapping;
    trapping.trap_exit = true;
    (void)rt_.Spawn(
        [&](Self& self) -> Task<ExitReason> {
          what(self, target);
          text = (co_await self.Receive())->reason().ToString();
          co_return ExitReason::Normal();
        },
        trapping);
    time_.RunUntilIdle();
    return text;
  }

  VirtualTime time_;
  Runtime rt_;
};

TEST_F(OrderOfSignals, AMonitorBehindAnExitSignalFindsNobody) {
  EXPECT_EQ(FirstReason([](Self& self, Pid target) {
              self.Exit(target, ExitReason::Error("boom"));
              self.Monitor(target);
            }),
            "noproc");
}

TEST_F(OrderOfSignals, ALinkBehindAnExitSignalFindsNobody) {
  EXPECT_EQ(FirstReason([](Self& self, Pid target) {
              self.Exit(target, ExitReason::Error("boom"));
              self.Link(target);
            }),
            "noproc");
}

TEST_F(OrderOfSignals, ALinkToTheDeadIsAnsweredAtOnce) {
  EXPECT_EQ(FirstReason(
                [](Self& self, Pid target) {
                  EXPECT_TRUE(self.Link(target));
                  self.SetTrapExit(false);
                },
                true),
            "noproc");
}

}  // namespace
}  // namespace banyan

// DYN-016 to DYN-024, DYN-033, DYN-035: exits and restarts of dynamic children.
#include "tests/conformance/dynamic/dynamic_test.h"

namespace banyan {
namespace {

class DynRestart : public DynamicTest {
 protected:
  static constexpr uint32_t kMany = 100'000;
};

TEST_F(DynRestart, DYN016Temporary) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    for (std::string how : {"shutdown", "whatever"}) {
      OpResult c = co_await StartChild(t, d, Child("c", "plain", {}, kTemp));
      co_await End(t, c.pid, how);
      EXPECT_EQ(co_await Entries(t, d), 0u) << how;
    }
  });
}

TEST_F(DynRestart, DYN017Transient) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    for (std::string how : {"shutdown", "shutdown_test", "whatever"}) {
      OpResult c = co_await StartChild(t, d, Child("c", "plain", {}, kTrans));
      co_await End(t, c.pid, how);
      EXPECT_EQ(co_await WorkersActive(t, d), how == "whatever" ? "1/1" : "0/0") << how;
    }
  });
}

TEST_F(DynRestart, DYN018Permanent) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(kMany));
    int children = 0;
    for (std::string how : {"shutdown", "shutdown_test", "whatever"}) {
      OpResult c = co_await StartChild(t, d, Child("c", "plain"));
      co_await End(t, c.pid, how);
      const std::string n = std::to_string(++children);
      EXPECT_EQ(co_await WorkersActive(t, d), n + "/" + n) << how;
    }
  });
}

TEST_F(DynRestart, DYN019WhatTheRestartReturns) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(kMany));
    for (auto& [outcome, counts] :
         std::vector<std::pair<std::string, std::string>>{{"ok2", "1/1"},
                                                          {"ok3", "2/2"},
                                                          {"ignore", "2/2"},
                                                          {"error", "3/2"},
                                                          {"raise", "4/2"}}) {
      OpResult c = co_await StartChild(t, d, Child("c", "restart", {outcome}));
      EXPECT_EQ(c.code, Code::kOk) << outcome;
      co_await Kill(t, c.pid, ExitReason::Error("whatever"));
      EXPECT_EQ(co_await WorkersActive(t, d), counts) << outcome;
    }
  });
}

TEST_F(DynRestart, DYN020RestartingEntriesTakeCapacity) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(kMany, 1));
    OpResult c = co_await StartChild(t, d, Child("c", "restart", {"error"}));
    co_await Kill(t, c.pid, ExitReason::Error("whatever"));
    EXPECT_EQ(co_await WorkersActive(t, d), "1/0");
    OpResult another = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(another.code, Code::kMaxChildren);
  });
}

TEST_F(DynRestart, DYN021RestartedChildrenTakeCapacity) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(kMany, 1));
    OpResult c = co_await StartChild(t, d, Child("c", "restart", {"ok2"}));
    co_await End(t, c.pid, "whatever");
    EXPECT_EQ(co_await WorkersActive(t, d), "1/1");
    OpResult another = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(another.code, Code::kMaxChildren);
  });
}

TEST_F(DynRestart, DYN022ExtraArgumentsAtTheRestart) {
  SupervisorSpec spec = D();
  spec.extra_arguments = {Word("f")};
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, spec);
    OpResult c = co_await StartChild(t, d, Child("c", "plain", {}, kTrans));
    co_await End(t, c.pid, "oops");
    std::vector<ChildEntry> rows = co_await Wc(t, d);
    CO_ASSERT(rows.size() == 1);
    EXPECT_NE(rows[0].pid, c.pid);
    EXPECT_EQ(co_await Ask(t, rows[0].pid), "f");
  });
}

TEST_F(DynRestart, DYN023ARestartThatFailsOnce) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(2));
    OpResult c = co_await StartChild(t, d, Child("c", "twice"));
    co_await End(t, c.pid, "whatever");
    EXPECT_EQ(co_await WorkersActive(t, d), "1/1");
    EXPECT_EQ(starts_, 3);
  });
}

TEST_F(DynRestart, DYN024RestartsThatFailForEver) {
  for (uint32_t most : {1u, 10u}) {
    Run([&](Self& t) -> Task<void> {
      Pid d = co_await Start(t, D(most));
      OpResult c = co_await StartChild(t, d, Child("c", "restart", {"error"}));
      co_await Kill(t, c.pid, ExitReason::Error("whatever"));
      EXPECT_EQ(co_await ExitOf(t, d), ExitReason::Shutdown());
    });
  }
}

TEST_F(DynRestart, DYN033TerminateChildOfARestartingEntry) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(kMany));
    OpResult c = co_await StartChild(t, d, Child("c", "restart", {"error"}));
    co_await Kill(t, c.pid, ExitReason::Error("whatever"));
    EXPECT_EQ(co_await WorkersActive(t, d), "1/0");
    OpResult first = co_await Terminate(t, d, c.pid);
    EXPECT_EQ(first.code, Code::kOk);
    OpResult again = co_await Terminate(t, d, c.pid);
    EXPECT_EQ(again.code, Code::kNotFound);
    EXPECT_EQ(co_await Entries(t, d), 0u);
  });
}

TEST_F(DynRestart, DYN035TheOldPidOfARestartedChild) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    OpResult c = co_await StartChild(t, d, Child("c", "plain"));
    co_await End(t, c.pid, "whatever");
    OpResult r = co_await Terminate(t, d, c.pid);
    EXPECT_EQ(r.code, Code::kNotFound);
    OpResult stranger = co_await Terminate(t, d, t.pid());
    EXPECT_EQ(stranger.code, Code::kNotFound);
    EXPECT_EQ(co_await WorkersActive(t, d), "1/1");
  });
}

}  // namespace
}  // namespace banyan

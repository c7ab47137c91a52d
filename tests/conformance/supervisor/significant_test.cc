// SUP-055 to SUP-068: significant children and automatic shutdown. spec/supervisor.md 19.8.
#include "common/base/error.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

constexpr AutoShutdown kNever = AutoShutdown::kNever;
constexpr AutoShutdown kAny = AutoShutdown::kAnySignificant;
constexpr AutoShutdown kAll = AutoShutdown::kAllSignificant;

class SupSignificant : public SupervisorTest {
 protected:
  static ChildSpec Sig(std::string id, RestartType restart, bool significant = true) {
    ChildSpec c = Child(std::move(id), "w1", {}, restart);
    c.significant = significant;
    return c;
  }
  static SupervisorSpec Auto(AutoShutdown kind, std::vector<ChildSpec> children = {},
                             uint32_t intensity = 1) {
    return Spec(Strategy::kOneForOne, intensity, 5, std::move(children), kind);
  }
  // SUP-057, SUP-058: c1, c2 significant, c3 not.
  struct Three {
    Pid s, c1, c2, c3;
  };
  static Task<Three> StartThree(Self& t, AutoShutdown kind, RestartType restart) {
    Three x;
    x.s = co_await Start(t, Auto(kind, {}, 5), "");
    x.c1 = co_await StartLinked(t, x.s, Sig("c1", restart));
    x.c2 = co_await StartLinked(t, x.s, Sig("c2", restart));
    x.c3 = co_await StartLinked(t, x.s, Sig("c3", restart, false));
    co_return x;
  }
};

TEST_F(SupSignificant, SUP055NonsignificantTemporary) {
  Run([&](Self& t) -> Task<void> {
    for (AutoShutdown kind : {kNever, kAny, kAll}) {
      Pid s = co_await Start(t, Auto(kind));
      co_await StartLinked(t, s, Sig("c1", kTemp, false));
      co_await Terminate(t, s, "c1");
      for (const char* how : {"kill", "abnormal", "normal"}) {
        Pid c = co_await StartLinked(t, s, Sig("c1", kTemp, false));
        co_await End(t, c, how);
      }
      co_await ExpectNoExit(t, {s});
      EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    }
  });
}

TEST_F(SupSignificant, SUP056NonsignificantTransient) {
  Run([&](Self& t) -> Task<void> {
    for (AutoShutdown kind : {kNever, kAny, kAll}) {
      Pid s = co_await Start(t, Auto(kind, {}, 5), "");
      co_await StartLinked(t, s, Sig("c1", kTrans, false));
      co_await Terminate(t, s, "c1");
      co_await Restart(t, s, "c1");
      for (const char* how : {"kill", "abnormal", "normal"})
        co_await End(t, co_await PidOf(t, s, "c1"), how);
      EXPECT_EQ(co_await Show(t, s), "c1:undefined");
      co_await ExpectNoExit(t, {s});
    }
  });
}

TEST_F(SupSignificant, SUP057SignificantTemporary) {
  Run([&](Self& t) -> Task<void> {
    Three x = co_await StartThree(t, kAny, kTemp);
    co_await Terminate(t, x.s, "c1");
    co_await ExpectNoExit(t, {x.s, x.c2, x.c3});
    co_await StartLinked(t, x.s, Sig("c1", kTemp));
    EXPECT_EQ(co_await Show(t, x.s), "c1 c3 c2");
    for (const char* how : {"kill", "abnormal", "normal"}) {
      x = co_await StartThree(t, kAny, kTemp);
      co_await End(t, x.c1, how);
      co_await ExpectExits(t, {x.s, x.c1, x.c2, x.c3});
    }
    x = co_await StartThree(t, kAll, kTemp);
    co_await End(t, x.c1, "normal");
    co_await ExpectNoExit(t, {x.s, x.c2, x.c3});
    co_await End(t, x.c2, "normal");
    co_await ExpectExits(t, {x.s, x.c3});
  });
}

TEST_F(SupSignificant, SUP058SignificantTransient) {
  Run([&](Self& t) -> Task<void> {
    Three x = co_await StartThree(t, kAny, kTrans);
    co_await Terminate(t, x.s, "c1");
    OpResult r = co_await Restart(t, x.s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    for (const char* how : {"kill", "abnormal"}) {
      co_await End(t, co_await PidOf(t, x.s, "c1"), how);
      co_await ExpectNoExit(t, {x.s, x.c2, x.c3});
      EXPECT_TRUE(rt_->IsAlive(co_await PidOf(t, x.s, "c1")));
    }
    co_await End(t, co_await PidOf(t, x.s, "c1"), "normal");
    co_await ExpectExits(t, {x.s, x.c2, x.c3});
    x = co_await StartThree(t, kAll, kTrans);
    co_await End(t, x.c1, "normal");
    co_await ExpectNoExit(t, {x.s, x.c2, x.c3});
    co_await End(t, x.c2, "normal");
    co_await ExpectExits(t, {x.s, x.c3});
  });
}

TEST_F(SupSignificant, SUP059SignificantSimple) {
  Run([&](Self& t) -> Task<void> {
    for (AutoShutdown kind : {kAny, kAll}) {
      Pid s =
          co_await Start(t, Spec(Strategy::kSimpleOneForOne, 1, 5, {Sig("x", kTemp)}, kind), "");
      OpResult p1 = co_await StartDynamic(t, s);
      OpResult p2 = co_await StartDynamic(t, s);
      co_await End(t, p1.pid, "normal");
      if (kind == kAll) {
        co_await ExpectNoExit(t, {s, p2.pid});
        co_await End(t, p2.pid, "normal");
      }
      co_await ExpectExits(t, {s, p1.pid, p2.pid});
    }
  });
}

TEST_F(SupSignificant, SUP060SignificantBystander) {
  Run([&](Self& t) -> Task<void> {
    for (Strategy strategy : {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne}) {
      for (AutoShutdown kind : {kAny, kAll}) {
        Pid s = co_await Start(t, Spec(strategy, 5, 5, {}, kind), "");
        Pid c1 = co_await StartLinked(t, s, Sig("c1", kTrans));
        Pid c2 = co_await StartLinked(t, s, Sig("c2", kTrans, false));
        Pid c3 = co_await StartLinked(t, s, Sig("c3", kTrans));
        co_await End(t, c2, "kill");
        co_await ExpectNoExit(t, {s});
        EXPECT_EQ(rt_->IsAlive(c1), strategy != Strategy::kOneForAll);
        EXPECT_EQ(rt_->IsAlive(c3), strategy == Strategy::kOneForOne);
        EXPECT_EQ(co_await Show(t, s), "c3 c2 c1");
      }
    }
  });
}

TEST_F(SupSignificant, SUP061SignificantEscalation) {
  Run([&](Self& t) -> Task<void> {
    for (bool significant : {true, false}) {
      ChildSpec inner =
          Child("inner", "", {}, kTrans, ShutdownPolicy::Infinity(), ChildType::kSupervisor);
      inner.significant = significant;
      inner.supervisor = std::make_shared<const SupervisorSpec>(Auto(kAny, {Sig("c1", kTrans)}));
      Pid outer = co_await Start(t, Auto(kAny, {inner}), "");
      Pid in = co_await PidOf(t, outer, "inner");
      Pid c1 = co_await PidOf(t, in, "c1");
      co_await End(t, c1, "normal");
      co_await ExpectExits(t, {in});
      EXPECT_EQ(rt_->IsAlive(outer), !significant);
    }
  });
}

TEST_F(SupSignificant, SUP062UpgradeNeverToAny) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Auto(kNever));
    absl::StatusOr<OpResult> bad = co_await SupervisorClient(s).StartChild(t, Sig("c1", kTrans));
    EXPECT_EQ(ErrorReason(bad.status()), "SPEC_INVALID");
    EXPECT_TRUE((co_await Upgrade(t, s, Auto(kAny))).ok());
    Pid c1 = co_await StartLinked(t, s, Sig("c1", kTrans));
    Pid c2 = co_await StartLinked(t, s, Sig("c2", kTrans));
    co_await End(t, c1, "normal");
    co_await ExpectExits(t, {s, c2});
  });
}

// SUP-063, SUP-065: turning it off with significant children present.
TEST_F(SupSignificant, SUP063And065UpgradeToNever) {
  Run([&](Self& t) -> Task<void> {
    for (AutoShutdown kind : {kAny, kAll}) {
      Pid s = co_await Start(t, Auto(kind), "");
      Pid c1 = co_await StartLinked(t, s, Sig("c1", kTrans));
      EXPECT_TRUE((co_await Upgrade(t, s, Auto(kNever))).ok());
      co_await ExpectNoExit(t, {s, c1});
      absl::StatusOr<OpResult> bad = co_await SupervisorClient(s).StartChild(t, Sig("c2", kTrans));
      EXPECT_EQ(ErrorReason(bad.status()), "SPEC_INVALID");
      co_await End(t, c1, "normal");
      co_await ExpectNoExit(t, {s});
      OpResult r = co_await Restart(t, s, "c1");
      EXPECT_EQ(r.code, Code::kOk);
      EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
      EXPECT_FALSE(rt_->IsAlive(r.pid));
    }
  });
}

TEST_F(SupSignificant, SUP064UpgradeNeverToAll) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Auto(kNever));
    EXPECT_TRUE((co_await Upgrade(t, s, Auto(kAll))).ok());
    Pid c1 = co_await StartLinked(t, s, Sig("c1", kTrans));
    Pid c2 = co_await StartLinked(t, s, Sig("c2", kTrans));
    co_await End(t, c1, "normal");
    co_await ExpectNoExit(t, {s, c2});
    co_await End(t, c2, "normal");
    co_await ExpectExits(t, {s});
  });
}

TEST_F(SupSignificant, SUP066UpgradeAnyToAll) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Auto(kAny));
    Pid c1 = co_await StartLinked(t, s, Sig("c1", kTrans));
    Pid c2 = co_await StartLinked(t, s, Sig("c2", kTrans));
    EXPECT_TRUE((co_await Upgrade(t, s, Auto(kAll))).ok());
    co_await ExpectNoExit(t, {s, c1, c2});
    co_await End(t, c1, "normal");
    co_await ExpectNoExit(t, {s, c2});
    co_await End(t, c2, "normal");
    co_await ExpectExits(t, {s});
  });
}

TEST_F(SupSignificant, SUP067UpgradeAllToAny) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Auto(kAll));
    Pid c1 = co_await StartLinked(t, s, Sig("c1", kTrans));
    Pid c2 = co_await StartLinked(t, s, Sig("c2", kTrans));
    EXPECT_TRUE((co_await Upgrade(t, s, Auto(kAny))).ok());
    co_await End(t, c1, "normal");
    co_await ExpectExits(t, {s, c2});
  });
}

TEST_F(SupSignificant, SUP068UpgradeTheChild) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Auto(kNever, {Sig("c1", kTrans, false)}), "");
    absl::Status bad = co_await Upgrade(t, s, Auto(kNever, {Sig("c1", kTrans)}));
    EXPECT_EQ(ErrorReason(bad), "CODE_CHANGE_FAILED");
    co_await ExpectNoExit(t, {s, co_await PidOf(t, s, "c1")});
    s = co_await Start(t, Auto(kAny, {Sig("c1", kTrans, false)}), "");
    EXPECT_TRUE((co_await Upgrade(t, s, Auto(kAny, {Sig("c1", kTrans)}))).ok());
    co_await End(t, co_await PidOf(t, s, "c1"), "normal");
    co_await ExpectExits(t, {s});
    s = co_await Start(t, Auto(kAny, {Sig("c1", kTrans)}), "");
    EXPECT_TRUE((co_await Upgrade(t, s, Auto(kAny, {Sig("c1", kTrans, false)}))).ok());
    co_await End(t, co_await PidOf(t, s, "c1"), "normal");
    co_await ExpectNoExit(t, {s});
  });
}

}  // namespace
}  // namespace banyan

// DYN-010 to DYN-015, DYN-025, DYN-034: specs of dynamic children and what their starts return.
#include "tests/conformance/dynamic/dynamic_test.h"

namespace banyan {
namespace {

class DynSpecs : public DynamicTest {};

TEST_F(DynSpecs, DYN010EveryStartBringsASpec) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    ChildSpec nested;
    nested.id = "n";
    nested.supervisor = std::make_shared<const SupervisorSpec>(D());
    nested.type = ChildType::kSupervisor;
    for (const ChildSpec& spec : {Child("a", "plain", {}, kTemp), Child("b", "w4"), nested}) {
      OpResult r = co_await StartChild(t, d, spec);
      EXPECT_EQ(r.code, Code::kOk);
      EXPECT_TRUE(t.runtime().IsAlive(r.pid));
      std::shared_ptr<const ChildSpec> kept = co_await GetSpec(t, d, r.pid);
      CO_ASSERT(kept != nullptr);
      EXPECT_EQ(kept->restart, spec.restart);
    }
    EXPECT_THAT(co_await Cc(t, d), Counts(3, 3, 1, 2));
    std::vector<ChildEntry> rows = co_await Wc(t, d);
    for (const ChildEntry& row : rows) EXPECT_EQ(row.id, "") << "children have no ids";
    // Operations by id, and those that DynamicSupervisor does not have.
    OpResult restart = co_await Restart(t, d, "a");
    EXPECT_EQ(restart.code, Code::kSimpleOneForOne);
    OpResult terminate = co_await Terminate(t, d, "a");
    EXPECT_EQ(terminate.code, Code::kNotFound);
  });
}

TEST_F(DynSpecs, DYN011ExtraArgumentsComeFirst) {
  SupervisorSpec spec = D();
  spec.extra_arguments = {Word("f")};
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, spec);
    OpResult alone = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(co_await Ask(t, alone.pid), "f");
    OpResult with_own = co_await StartChild(t, d, Child("c", "plain", {"own"}));
    EXPECT_EQ(co_await Ask(t, with_own.pid), "f own");
    SupervisorSpec changed = spec;
    changed.extra_arguments = {Word("g")};
    absl::Status status = co_await Upgrade(t, d, changed);
    EXPECT_TRUE(status.ok()) << status;
    co_await End(t, with_own.pid, "oops");
    std::vector<ChildEntry> rows = co_await Wc(t, d);
    EXPECT_EQ(co_await Ask(t, rows.at(0).pid), "g own") << "those of the time of the restart";
  });
}

TEST_F(DynSpecs, DYN012WrongSpecsAreRefusedInTheCaller) {
  Run([&](Self& t) -> Task<void> {
    Pid gone = co_await Start(t, D());
    co_await Shutdown(t, gone);
    SupervisorClient client(gone);
    ChildSpec shutdown = Child("c", "plain", {}, kPerm, Ms(-1));
    ChildSpec significant = Child("c", "plain");
    significant.significant = true;
    for (auto& [error, spec] :
         std::vector<std::pair<std::string, ChildSpec>>{{"missing_id", Child("", "plain")},
                                                        {"missing_start", Child("c", "")},
                                                        {"invalid_shutdown", shutdown},
                                                        {"bad_combination", significant}}) {
      absl::StatusOr<OpResult> r = co_await client.StartChild(t, spec);
      EXPECT_EQ(ErrorReason(r.status()), "SPEC_INVALID") << error;
      EXPECT_EQ(Fields(r.status()), error);
    }
    absl::StatusOr<OpResult> good = co_await client.StartChild(t, Child("c", "plain"));
    EXPECT_EQ(ErrorReason(good.status()), "NOPROC");
    // What depends on the supervisor is its own word.
    Pid d = co_await Start(t, D(), "other");
    significant.restart = kTrans;
    absl::StatusOr<OpResult> r = co_await SupervisorClient(d).StartChild(t, significant);
    EXPECT_EQ(Fields(r.status()), "invalid_significant");
  });
}

TEST_F(DynSpecs, DYN013StartResults) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    OpResult ok3 = co_await StartChild(t, d, Child("c", "sl", {"ok3"}));
    EXPECT_EQ(ok3.code, Code::kOk);
    EXPECT_EQ(TextOf(ok3.info), "extra");
    OpResult ok2 = co_await StartChild(t, d, Child("c", "sl", {"ok2"}));
    EXPECT_EQ(ok2.code, Code::kOk);
    EXPECT_TRUE(ok2.info.empty());
    OpResult ignore = co_await StartChild(t, d, Child("c", "sl", {"ignore"}));
    EXPECT_EQ(ignore.code, Code::kIgnored);
    OpResult error = co_await StartChild(t, d, Child("c", "sl", {"error"}));
    EXPECT_EQ(error.code, Code::kStartFailed);
    EXPECT_EQ(error.reason, ExitReason::Error("found"));
    OpResult unknown = co_await StartChild(t, d, Child("c", "no_such_module"));
    EXPECT_EQ(unknown.reason.type(), kUndef);
    EXPECT_EQ(co_await WorkersActive(t, d), "2/2");
  });
}

TEST_F(DynSpecs, DYN014StartFunctionsThatFail) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    OpResult raises = co_await StartChild(t, d, Child("c", "sl", {"raise"}));
    EXPECT_EQ(raises.code, Code::kStartFailed);
    EXPECT_EQ(raises.reason.type(), "banyan::FunctionClause");
    OpResult exits = co_await StartChild(t, d, Child("c", "sl", {"exit"}));
    EXPECT_EQ(exits.code, Code::kStartFailed);
    EXPECT_EQ(exits.reason, ExitReason::Error("oops"));
    EXPECT_EQ(co_await WorkersActive(t, d), "0/0");
  });
}

TEST_F(DynSpecs, DYN015NoChildrenAllowed) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(3, 0));
    OpResult r = co_await StartChild(t, d, Child("c", "twice"));
    EXPECT_EQ(r.code, Code::kMaxChildren);
    EXPECT_EQ(starts_, 0) << "the start function was not called";
    // The limit holds for children of a template too.
    SupervisorSpec simple = Spec(Strategy::kSimpleOneForOne, 1, 5, {Child("x", "plain")});
    simple.flags.max_children = 1;
    Pid s = co_await Start(t, simple, "simple");
    OpResult first = co_await StartDynamic(t, s);
    EXPECT_EQ(first.code, Code::kOk);
    OpResult second = co_await StartDynamic(t, s);
    EXPECT_EQ(second.code, Code::kMaxChildren);
    co_await Terminate(t, s, first.pid);
    OpResult third = co_await StartDynamic(t, s);
    EXPECT_EQ(third.code, Code::kOk);
  });
}

TEST_F(DynSpecs, DYN025Shutdowns) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    for (int64_t ms : {0, 1}) {
      OpResult r = co_await StartChild(t, d, Child("c", "plain", {}, kPerm, Ms(ms)));
      EXPECT_EQ(r.code, Code::kOk);
    }
    absl::StatusOr<OpResult> r =
        co_await SupervisorClient(d).StartChild(t, Child("c", "plain", {}, kPerm, Ms(-1)));
    EXPECT_EQ(Fields(r.status()), "invalid_shutdown");
  });
}

TEST_F(DynSpecs, DYN034TheSameIdTwice) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    OpResult a = co_await StartChild(t, d, Child("c", "plain"));
    OpResult b = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(b.code, Code::kOk);
    EXPECT_NE(a.pid, b.pid);
    EXPECT_EQ(co_await WorkersActive(t, d), "2/2");
  });
}

}  // namespace
}  // namespace banyan

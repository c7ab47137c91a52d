// Changing the code of running processes: SYS-100 to SYS-103, SYS-107 to SYS-110, SYS-112 to
// SYS-114. spec/sys.md 9, 12.
#include "server/behaviours/sys_upgrade.h"
#include "tests/conformance/sys/subject.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SysCodeChange : public SysTest {};

TEST_F(SysCodeChange, SYS100To103OneProcess) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    EXPECT_EQ(ErrorOf(co_await sys::ChangeCode(t, p, {})), "NOT_SUSPENDED") << "SYS-100";
    EXPECT_EQ(co_await StateOf(t, p), "state");
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    EXPECT_EQ(ErrorOf(co_await sys::ChangeCode(t, p, {})), "CODE_CHANGE_UNSUPPORTED") << "SYS-103";

    hooks_.code_change = [](Subject&, const CodeChange&) -> absl::Status {
      throw std::runtime_error("crash");
    };
    absl::Status crash = co_await sys::ChangeCode(t, p, {});
    EXPECT_EQ(ErrorOf(crash), "CODE_CHANGE_FAILED") << "SYS-102";
    EXPECT_EQ(GetErrorInfo(crash)->exit_reason, ExitReason::Error("std::runtime_error", "crash"));
    hooks_.code_change = [](Subject&, const CodeChange&) { return absl::InternalError("junk"); };
    EXPECT_EQ(co_await sys::ChangeCode(t, p, {}), absl::InternalError("junk"));
    EXPECT_TRUE((co_await sys::GetStatus(t, p))->suspended);
    EXPECT_EQ(co_await StateOf(t, p), "state");

    hooks_.code_change = [](Subject& s, const CodeChange& change) {
      s.state += "," + change.old_version + (change.down ? "(down)," : ",") + TextOf(change.extra);
      return absl::OkStatus();
    };
    CodeChange change{.old_version = "1", .extra = Word("x")};
    EXPECT_TRUE((co_await sys::ChangeCode(t, p, change)).ok()) << "SYS-101";
    EXPECT_EQ(co_await StateOf(t, p), "state,1,x");
    EXPECT_TRUE((co_await sys::GetStatus(t, p))->suspended);
    t.Cast(p, Word("c"));
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(script_.trace, IsEmpty());
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(script_.trace, ElementsAre("cast c"));
  });
}

TEST_F(SysCodeChange, SYS110Downgrade) {
  bool down = false;
  std::string version;
  hooks_.code_change = [&](Subject&, const CodeChange& change) {
    down = change.down;
    version = change.old_version;
    return absl::OkStatus();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    CodeChange change{.old_version = "1", .down = true, .extra = {}};
    auto results = co_await sys::Upgrade(t, {p}, change);
    EXPECT_TRUE(results.at(0).status.ok());
    EXPECT_TRUE(down);
    EXPECT_EQ(version, "1");
  });
}

TEST_F(SysCodeChange, SYS107NoCastIsLostReorderedOrHandledTwice) {
  constexpr int kCasts = 1000;
  int version = 1, conversions = 0;
  std::vector<std::string> handled;
  std::vector<int> by_version(3);
  hooks_.code_change = [&](Subject&, const CodeChange&) {
    version = 2;
    ++conversions;
    return absl::OkStatus();
  };
  script_.cast = [&](S&, std::string word) -> Task<Step> {
    handled.push_back(word);
    ++by_version[version];
    return S::NoReply();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    absl::StatusOr<SpawnResult> sender = t.Spawn(
        [p](Self& s) -> Task<ExitReason> {
          for (int i = 0; i < kCasts; ++i) {
            s.Cast(p, Word(std::to_string(i)));
            co_await s.Sleep(absl::Milliseconds(1));
          }
          co_return ExitReason::Normal();
        },
        {});
    co_await t.Sleep(Ms(300));
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    co_await t.Sleep(Ms(100));
    EXPECT_TRUE((co_await sys::ChangeCode(t, p, {})).ok());
    co_await t.Sleep(Ms(100));
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    EXPECT_EQ(co_await DownOf(t, sender->pid), ExitReason::Normal());
    EXPECT_EQ(co_await StateOf(t, p), "state");
  });
  ASSERT_EQ(handled.size(), size_t{kCasts});
  for (int i = 0; i < kCasts; ++i) EXPECT_EQ(handled[i], std::to_string(i));
  EXPECT_EQ(conversions, 1);
  EXPECT_GT(by_version[1], 250);
  EXPECT_GT(by_version[2], 650);
}

TEST_F(SysCodeChange, SYS113ACallerDuringAnUpgradeGetsItsReply) {
  hooks_.code_change = [](Subject& s, const CodeChange&) {
    s.state = "new";
    return absl::OkStatus();
  };
  script_.call = [](S& s, std::string, CallFrom) -> Task<CallResult> {
    return S::Reply(Word(s.state));
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    Ref call = t.SendRequest(p, Word("get"));
    co_await t.Sleep(Ms(50));
    EXPECT_TRUE((co_await sys::ChangeCode(t, p, {})).ok());
    co_await t.Sleep(Ms(50));
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    CallReply reply = co_await t.AwaitReply(call, t.Now() + absl::Seconds(5));
    EXPECT_EQ(TextOf(reply.payload), "new");
  });
}

// Children whose code can change: state "1" becomes "2"; a child that was told "stubborn" refuses.
class Versioned : public GenServer {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload, CallFrom) override { return Reply(Word(state_)); }
  Task<Result> HandleCast(Payload word) override {
    stubborn_ = TextOf(word) == "stubborn";
    return NoReply();
  }
  Task<absl::Status> OnCodeChange(CodeChange) override {
    if (stubborn_) throw std::runtime_error("no");
    state_ = state_ == "1" ? "2" : "converted twice";
    return absl::OkStatus();
  }
  std::string state_ = "1";
  bool stubborn_ = false;
};

class SysUpgrade : public SupervisorTest {
 protected:
  SysUpgrade() { modules_.Add<Versioned>("versioned", {.version = "1"}); }
  static Task<std::string> Version(Self& t, Pid p) {
    absl::StatusOr<Payload> state = co_await t.Call(p, Word("get"));
    co_return state.ok() ? TextOf(*state) : std::string(state.status().message());
  }
};

TEST_F(SysUpgrade, SYS108AHundredDynamicChildren) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 0, 1, {Child("v", "versioned")}));
    std::vector<Pid> children;
    for (int i = 0; i < 100; ++i) {
      OpResult r = co_await StartDynamic(t, s);
      children.push_back(r.pid);
    }
    std::vector<Pid> found = sys::ProcessesOf(*rt_, "versioned");
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(children));
    std::vector<sys::UpgradeResult> results =
        co_await sys::Upgrade(t, std::move(found), {.old_version = "1"});
    EXPECT_EQ(results.size(), 100u);
    for (const sys::UpgradeResult& r : results) EXPECT_TRUE(r.status.ok()) << r.status;
    for (Pid p : children) EXPECT_EQ(co_await Version(t, p), "2");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 100, 0, 100));
  });
}

TEST_F(SysUpgrade, SYS109And114OneFailsOneDies) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForOne, 5, 5,
                {Child("a", "versioned"), Child("b", "versioned"), Child("c", "versioned")}));
    Pid a = co_await PidOf(t, s, "a"), b = co_await PidOf(t, s, "b"), c = co_await PidOf(t, s, "c");
    t.Cast(b, Word("stubborn"));
    std::vector<sys::UpgradeResult> results = co_await sys::Upgrade(
        t, {a, b, c}, {}, {.on_failure = sys::UpgradeOptions::OnFailure::kResume});
    EXPECT_TRUE(results[0].status.ok());
    EXPECT_EQ(ErrorReason(results[1].status), "CODE_CHANGE_FAILED");
    EXPECT_TRUE(results[2].status.ok());
    EXPECT_EQ(co_await Version(t, b), "1") << "it goes on as it was";

    EXPECT_TRUE((co_await sys::Suspend(t, a)).ok());
    t.Exit(a, ExitReason::Kill());  // SYS-114
    co_await Settle(t);
    results = co_await sys::Upgrade(t, {a, b}, {});
    EXPECT_EQ(ErrorReason(results[0].status), "NOPROC");
    EXPECT_EQ(ErrorReason(results[1].status), "CODE_CHANGE_FAILED");
    co_await Settle(t);
    EXPECT_FALSE(rt_->IsAlive(b));
    Pid new_a = co_await PidOf(t, s, "a"), new_b = co_await PidOf(t, s, "b");
    EXPECT_TRUE(rt_->IsAlive(new_a));
    EXPECT_EQ(co_await Version(t, new_b), "1") << "restarted by its supervisor";
    EXPECT_EQ(co_await Version(t, c), "2");
  });
}

TEST_F(SysUpgrade, SYS112ASupervisorsSpec) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 0, 1, {Child("a", "versioned")}));
    Pid a = co_await PidOf(t, s, "a");
    EXPECT_TRUE((co_await Upgrade(t, s,
                                  Spec(Strategy::kOneForOne, 3, 9,
                                       {Child("a", "versioned"), Child("b", "versioned")})))
                    .ok());
    absl::StatusOr<SupervisorInfo> info = co_await SupervisorClient(s).GetInfo(t);
    EXPECT_EQ(info->flags.intensity, 3u);
    EXPECT_EQ(info->flags.period, absl::Seconds(9));
    EXPECT_EQ(co_await PidOf(t, s, "a"), a);
    EXPECT_EQ(co_await Version(t, a), "1") << "untouched";
    EXPECT_EQ(co_await Show(t, s), "b:undefined a");
  });
}

}  // namespace
}  // namespace banyan

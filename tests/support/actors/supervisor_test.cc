#include "tests/support/actors/supervisor_test.h"

namespace banyan {

ChildSpec SupervisorTest::Child(std::string id, std::string module, std::vector<std::string> words,
                                RestartType restart, ShutdownPolicy shutdown, ChildType type) {
  ChildSpec spec;
  spec.id = std::move(id);
  spec.start.module = std::move(module);
  for (std::string& word : words) spec.start.args.push_back(Word(std::move(word)));
  spec.restart = restart;
  spec.shutdown = shutdown;
  spec.type = type;
  return spec;
}

SupervisorSpec SupervisorTest::Spec(Strategy strategy, uint32_t intensity, int64_t period_s,
                                    std::vector<ChildSpec> children, AutoShutdown auto_shutdown) {
  SupervisorSpec spec;
  spec.flags.strategy = strategy;
  spec.flags.intensity = intensity;
  spec.flags.period = absl::Seconds(period_s);
  spec.flags.auto_shutdown = auto_shutdown;
  if (strategy == Strategy::kSimpleOneForOne) {
    if (!children.empty()) spec.child_template = std::move(children.front());
  } else {
    spec.children = std::move(children);
  }
  return spec;
}

Task<StartResult> SupervisorTest::TryStart(Self& t, SupervisorSpec spec, std::string name) {
  StartSpec start;
  start.name = std::move(name);
  return StartSupervisor(t, std::make_shared<const SupervisorSpec>(std::move(spec)), {},
                         std::move(start));
}

Task<Pid> SupervisorTest::Start(Self& t, SupervisorSpec spec, std::string name) {
  StartResult result = co_await TryStart(t, std::move(spec), std::move(name));
  EXPECT_TRUE(result.started()) << result.reason.ToString();
  co_return result.pid;
}

namespace {
template <typename T>
Task<T> Value(Task<absl::StatusOr<T>> call) {
  absl::StatusOr<T> result = co_await std::move(call);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) co_return T();
  co_return *std::move(result);
}
}  // namespace

Task<OpResult> SupervisorTest::StartChild(Self& t, Pid sup, ChildSpec spec) {
  return Value(SupervisorClient(sup).StartChild(t, std::move(spec)));
}
Task<OpResult> SupervisorTest::StartDynamic(Self& t, Pid sup, std::vector<std::string> words) {
  std::vector<Payload> args;
  for (std::string& word : words) args.push_back(Word(std::move(word)));
  return Value(SupervisorClient(sup).StartChild(t, std::move(args)));
}
Task<OpResult> SupervisorTest::Terminate(Self& t, Pid sup, ChildRef child) {
  return Value(SupervisorClient(sup).TerminateChild(t, std::move(child)));
}
Task<OpResult> SupervisorTest::Restart(Self& t, Pid sup, ChildRef child) {
  return Value(SupervisorClient(sup).RestartChild(t, std::move(child)));
}
Task<OpResult> SupervisorTest::Delete(Self& t, Pid sup, ChildRef child) {
  return Value(SupervisorClient(sup).DeleteChild(t, std::move(child)));
}
Task<std::vector<ChildEntry>> SupervisorTest::Wc(Self& t, Pid sup) {
  return Value(SupervisorClient(sup).WhichChildren(t));
}
Task<ChildCounts> SupervisorTest::Cc(Self& t, Pid sup) {
  return Value(SupervisorClient(sup).CountChildren(t));
}
Task<std::shared_ptr<const ChildSpec>> SupervisorTest::GetSpec(Self& t, Pid sup, ChildRef child) {
  return Value(SupervisorClient(sup).GetChildSpec(t, std::move(child)));
}

Task<Pid> SupervisorTest::PidOf(Self& t, Pid sup, std::string id) {
  std::vector<ChildEntry> children = co_await Wc(t, sup);
  for (const ChildEntry& c : children) {
    if (c.id == id && c.state == ChildState::kRunning) co_return c.pid;
  }
  co_return Pid{};
}

Task<std::string> SupervisorTest::Show(Self& t, Pid sup) {
  std::vector<ChildEntry> children = co_await Wc(t, sup);
  std::string out;
  for (const ChildEntry& c : children) {
    if (!out.empty()) out += ' ';
    out += c.id.empty() ? "-" : c.id;
    if (c.state == ChildState::kUndefined) out += ":undefined";
    if (c.state == ChildState::kRestarting) out += ":restarting";
  }
  co_return out;
}

Task<Pid> SupervisorTest::StartLinked(Self& t, Pid sup, ChildSpec spec) {
  OpResult r = co_await StartChild(t, sup, std::move(spec));
  EXPECT_EQ(r.code, Code::kOk) << r.reason.ToString();
  t.Link(r.pid);
  co_return r.pid;
}

Task<absl::Status> SupervisorTest::Upgrade(Self& t, Pid sup, SupervisorSpec spec) {
  absl::Status suspended = co_await sys::Suspend(t, sup);
  EXPECT_TRUE(suspended.ok()) << suspended;
  Payload changed =
      Payload::Local(std::shared_ptr<const SupervisorSpec>(std::make_shared<SupervisorSpec>(spec)));
  absl::Status result = co_await sys::ChangeCode(t, sup, {.extra = std::move(changed)});
  absl::Status resumed = co_await sys::Resume(t, sup);
  EXPECT_TRUE(resumed.ok()) << resumed;
  co_return result;
}

Task<void> SupervisorTest::ExpectNoExit(Self& t, std::vector<Pid> pids) {
  co_await t.Sleep(absl::Seconds(1));
  for (Pid p : pids) EXPECT_TRUE(t.runtime().IsAlive(p)) << FormatPid(p);
}

Task<void> SupervisorTest::ExpectExits(Self& t, std::vector<Pid> pids) {
  co_await t.Sleep(absl::Seconds(1));
  for (Pid p : pids) EXPECT_FALSE(t.runtime().IsAlive(p)) << FormatPid(p);
}

Task<void> SupervisorTest::End(Self& t, Pid p, std::string how) {
  Ref ref = t.Monitor(p);
  ExitReason want;
  if (how == "normal") {
    t.Send(p, Word("stop"));
  } else if (how == "abnormal") {
    t.Send(p, Word("die"));
    want = ExitReason::Error("died");
  } else if (how == "kill") {
    t.Exit(p, ExitReason::Kill());
    want = ExitReason::Killed();
  } else {
    want = ReasonOfWord(how);
    t.Exit(p, want);
  }
  std::optional<Message> down =
      co_await t.ReceiveIf([ref](const Message& m) { return m.is_down() && m.ref() == ref; },
                           t.Now() + absl::Minutes(1));
  EXPECT_TRUE(down.has_value()) << "end(" << how << "): still alive";
  if (down) EXPECT_EQ(down->reason(), want) << down->reason().ToString();
  co_await Settle(t);
}

Task<ExitReason> SupervisorTest::Shutdown(Self& t, Pid sup) {
  Ref ref = t.Monitor(sup);
  t.Exit(sup, ExitReason::Shutdown());
  std::optional<Message> down =
      co_await t.ReceiveIf([ref](const Message& m) { return m.is_down() && m.ref() == ref; },
                           t.Now() + absl::Minutes(10));
  EXPECT_TRUE(down.has_value());
  co_return down ? down->reason() : ExitReason::Killed();
}

}  // namespace banyan

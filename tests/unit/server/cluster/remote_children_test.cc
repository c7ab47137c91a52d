// A local supervisor whose children run on another node: SUP-128. spec/supervisor.md 17, 18 (Q2).
#include <gmock/gmock.h>

#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/behaviours/sys.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using Code = OpResult::Code;

class Reports : public SupervisorEvents {
 public:
  void OnReport(Pid, const std::string&, const SupervisorReport& report) override {
    using Context = SupervisorReport::Context;
    if (report.context == Context::kChildTerminated)
      lines.push_back("child_terminated " + report.reason.ToString());
    if (report.context == Context::kStartError) lines.push_back("start_error");
    if (report.context == Context::kShutdown) lines.push_back("shutdown");
    if (report.context == Context::kShutdownError)
      lines.push_back("shutdown_error " + report.reason.ToString());
  }
  std::vector<std::string> lines;
};

class RemoteChildren : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    modules_.AddFunction("remote",
                         [this](Self& self, StartSpec, StartContext) { return StartOnB(self); });
    host_.modules = &modules_;
    host_.supervisor_events = &reports_;
    a->runtime.SetHost(&host_);
    t_ = Spawn(*a);
  }

  // A process of node b, linked to whoever starts it; fails when b is gone.
  Task<StartResult> StartOnB(Self& self) {
    if (!b) return StartResult::Failed(ExitReason::NoConnection());
    log_ = Spawn(*b);
    const Pid pid = b->Export(log_->pid);
    self.Link(pid);
    return StartResult::Started(pid);
  }
  static ChildSpec Remote(RestartType restart) {
    ChildSpec spec;
    spec.id = "c";
    spec.start.module = "remote";
    spec.restart = restart;
    return spec;
  }
  // A supervisor of one such child, or with it as the template.
  Pid StartSup(RestartType restart, Strategy strategy = Strategy::kOneForOne) {
    auto spec = std::make_shared<SupervisorSpec>();
    spec->flags.strategy = strategy;
    if (strategy == Strategy::kOneForOne) {
      spec->children = {Remote(restart)};
    } else {
      spec->child_template = Remote(restart);
    }
    Pid pid;
    StartSupervisor(a->runtime, spec, {}, {}, [&pid](StartResult r) { pid = r.pid; });
    Settle();
    EXPECT_TRUE(pid.valid());
    a->runtime.Monitor(pid, [this](Pid, ExitReason reason) { ended_ = reason; });
    return pid;
  }
  void InA(Script script) {
    Run(*a, t_, std::move(script));
    Settle();
  }
  void LoseB() {
    b.reset();
    Settle();
    if (a) a->router->SetPeerGone({2, 1});
    Settle();
  }

  Modules modules_;
  Host host_;
  Reports reports_;
  std::shared_ptr<Log> t_, log_;
  std::optional<ExitReason> ended_;
};

TEST_F(RemoteChildren, SUP128ATransientChildOnALostNode) {
  StartSup(RestartType::kTransient);
  EXPECT_FALSE(ended_.has_value());
  LoseB();
  EXPECT_EQ(ended_, ExitReason::Shutdown());
  EXPECT_THAT(reports_.lines,
              ElementsAre("child_terminated noconnection", "start_error", "shutdown"));
}

TEST_F(RemoteChildren, SUP128ATemporaryChildIsRemoved) {
  Pid s = StartSup(RestartType::kTemporary);
  LoseB();
  EXPECT_FALSE(ended_.has_value());
  EXPECT_THAT(reports_.lines, ElementsAre("child_terminated noconnection"));
  ChildCounts counts{9, 9, 9, 9};
  InA([&](Self& t) -> Task<void> { counts = *co_await SupervisorClient(s).CountChildren(t); });
  EXPECT_EQ(counts, (ChildCounts{0, 0, 0, 0}));
}

TEST_F(RemoteChildren, SUP128OperationsOnRemotePids) {
  Pid s = StartSup(RestartType::kPermanent);
  Pid simple = StartSup(RestartType::kPermanent, Strategy::kSimpleOneForOne);
  InA([&](Self& t) -> Task<void> {
    SupervisorClient client(s);
    EXPECT_EQ((co_await client.CountChildren(t))->active, 1u);
    OpResult stopped = *co_await client.TerminateChild(t, "c");
    EXPECT_EQ(stopped.code, Code::kOk);
    EXPECT_EQ((co_await client.CountChildren(t))->active, 0u);
    const Pid stranger = b->Export(Spawn(*b)->pid);
    SupervisorClient dynamic(simple);
    OpResult refused = *co_await dynamic.TerminateChild(t, stranger);
    EXPECT_EQ(refused.code, Code::kNotFound);
    EXPECT_EQ(*co_await dynamic.GetChildSpec(t, stranger), nullptr);
    OpResult own = *co_await dynamic.StartChild(t, std::vector<Payload>());
    EXPECT_EQ(own.code, Code::kOk);
    OpResult ended = *co_await dynamic.TerminateChild(t, own.pid);
    EXPECT_EQ(ended.code, Code::kOk);
  });
  EXPECT_TRUE(log_->ended);
  EXPECT_EQ(log_->end, ExitReason::Shutdown());
  EXPECT_THAT(reports_.lines, ElementsAre());
}

// The stop comes before the supervisor has heard of the loss: done, and reported.
TEST_F(RemoteChildren, SUP128StoppingAChildOnALostNode) {
  Pid s = StartSup(RestartType::kPermanent);
  InA([&](Self& t) -> Task<void> {
    absl::Status suspended = co_await sys::Suspend(t, s);
    EXPECT_TRUE(suspended.ok()) << suspended;
  });
  Code code = Code::kNotFound;
  auto stopper = Spawn(*a);
  Run(*a, stopper, [&](Self& t) -> Task<void> {
    OpResult r = *co_await SupervisorClient(s).TerminateChild(t, "c");
    code = r.code;
  });
  Settle();
  LoseB();
  InA([&](Self& t) -> Task<void> {
    absl::Status resumed = co_await sys::Resume(t, s);
    EXPECT_TRUE(resumed.ok()) << resumed;
  });
  EXPECT_EQ(code, Code::kOk);
  EXPECT_FALSE(ended_.has_value());
  EXPECT_THAT(reports_.lines, ElementsAre("shutdown_error noconnection"));
}

}  // namespace
}  // namespace banyan::testing

// Cluster names as calls of other nodes and of this one see them (cluster.md 4.1, 4.2).
#include <gmock/gmock.h>

#include "fake_coordinator.h"
#include "tests/unit/server/cluster/two_nodes.h"

namespace banyan::testing {
namespace {

// Node 9 is known by its router only.
class CallsToNames : public NodeTest {
 protected:
  void SetUp() override {
    hooks.resolve = [this](const std::string&, const Node::ResolveDone& done) {
      ++asked;
      if (answer) done(*answer);
    };
    NodeTest::SetUp();
    Join();
    other = std::make_unique<TestNode>(&time, &network, "other:1", wire::NodeIdentity{9, 1},
                                       PeerOptions());
    other->router->SetPeer({7, 1}, "n:1");
    internal::v1::ControlResponse r;
    r.mutable_view()->set_version(2);
    r.mutable_view()->set_epoch(1);
    r.mutable_view()->set_full(true);
    v1::NodeInfo* m = r.mutable_view()->add_nodes();
    m->set_node_id(9);
    m->set_incarnation(1);
    m->set_name("other");
    m->set_address("other:1");
    m->set_state(v1::NODE_STATE_ACTIVE);
    c.Send(r);
    pid = *runtime->Spawn([this](Self& self) -> Task<ExitReason> {
      for (;;) {
        Message m = *(co_await self.Receive());
        if (!m.is_call()) continue;
        ++runs;
        self.Answer(m.call_from(), Text("done"));
      }
    });
    Settle();
  }
  void TearDown() override {
    other.reset();
    NodeTest::TearDown();
  }
  void AskForName() {
    node->RegisterName("x", pid, {}, false, [](auto) {});
    Settle(absl::Milliseconds(10));
  }
  void Grant(uint64_t reg_version) {
    internal::v1::ControlResponse r;
    r.mutable_name_reply()->set_request_seq(c.name_requests.back().request_seq());
    *r.mutable_name_reply()->mutable_entry() = c.name_requests.back().entry();
    r.mutable_name_reply()->mutable_entry()->set_reg_version(reg_version);
    r.mutable_name_reply()->set_granted(true);
    c.Send(r);
    Settle(absl::Milliseconds(10));
  }
  std::string CallFromOther(uint64_t reg_version, Pid to) {
    std::string out = "none";
    other->runtime.Call(Pid{7, 1, to.id}, Text("?"), time.Now() + absl::Seconds(5),
                        [&](absl::StatusOr<Payload> r, Pid) {
                          out = r.ok() ? r->bytes() : ErrorReason(r.status());
                        },
                        {.reg_version = reg_version});
    Settle();
    return out;
  }
  absl::StatusOr<Resolved> Resolve(absl::Duration patience) {
    absl::StatusOr<Resolved> out = absl::UnknownError("none");
    node->ResolveTarget(Target::Named("far"), time.Now() + patience,
                        [&](absl::StatusOr<Resolved> r) { out = std::move(r); });
    Settle();
    time.RunFor(patience);
    return out;
  }
  void Know(uint64_t reg_version) {
    answer.emplace();
    internal::v1::ResolveResponse response;
    response.mutable_entry()->set_name("far");
    response.mutable_entry()->mutable_pid()->set_node_id(9);
    response.mutable_entry()->mutable_pid()->set_incarnation(1);
    response.mutable_entry()->mutable_pid()->set_id(5);
    response.mutable_entry()->set_reg_version(reg_version);
    answer = response;
  }

  std::unique_ptr<TestNode> other;
  Pid pid;
  int runs = 0;
  int asked = 0;
  std::optional<absl::StatusOr<internal::v1::ResolveResponse>> answer;
};

TEST_F(CallsToNames, OnlyForWhoHasItStill) {
  AskForName();
  EXPECT_EQ(CallFromOther(5, pid), "done") << "the grant is on its way";
  Grant(5);
  EXPECT_EQ(CallFromOther(5, pid), "done");
  EXPECT_EQ(CallFromOther(4, pid), "NOPROC") << "an earlier holder's";
  bool released = false;
  node->UnregisterName("x", pid, [&](bool r) { released = r; });
  Settle();
  ASSERT_TRUE(released);
  EXPECT_EQ(CallFromOther(5, pid), "NOPROC");
  EXPECT_EQ(CallFromOther(0, pid), "done") << "by pid";
  EXPECT_EQ(runs, 3);
  // Had again.
  AskForName();
  EXPECT_EQ(CallFromOther(5, pid), "NOPROC") << "while that is not granted";
  Grant(6);
  EXPECT_EQ(CallFromOther(5, pid), "NOPROC");
  EXPECT_EQ(CallFromOther(6, pid), "done");
}

TEST_F(CallsToNames, TheCoordinatorsWordMayBeOlderThanThisNodes) {
  AskForName();
  Grant(5);
  node->UnregisterName("x", pid, [](bool) {});
  Settle();
  Know(5);
  auto* entry = (*answer)->mutable_entry();
  entry->mutable_pid()->set_node_id(7);
  entry->mutable_pid()->set_id(pid.id);
  const absl::Status status = Resolve(absl::Seconds(1)).status();
  EXPECT_EQ(ErrorReason(status), "NOPROC");
}

TEST_F(CallsToNames, AChildHasItsNameForAllOfItsLife) {
  const Pid child = Started({"s", "a"}, 1, "x");
  EXPECT_EQ(CallFromOther(99, child), "1");
  // Told to others under a later number, when of two lives the older one is kept.
  EXPECT_EQ(CallFromOther(100, child), "2");
  c.SendCommand(StopCommand({"s", "a"}, 1));
  Settle();
  EXPECT_EQ(CallFromOther(99, child), "NOPROC");
}

TEST_F(CallsToNames, ACoordinatorThatDoesNotAnswerIsWaitedForUntilTheDeadline) {
  const absl::Status status = Resolve(absl::Seconds(3)).status();
  EXPECT_EQ(ErrorReason(status), "COORDINATOR_UNAVAILABLE");
  EXPECT_EQ(GetErrorInfo(status)->metadata["outcome"], kNotExecuted);
  EXPECT_EQ(asked, 1);
}

TEST_F(CallsToNames, KnownOnesNeedNoCoordinator) {
  Know(10);
  ASSERT_TRUE(Resolve(absl::Seconds(1)).ok());
  network.Break("n:1", "c:1");
  answer = MakeError("COORDINATOR_UNAVAILABLE", "gone");
  absl::StatusOr<Resolved> found = Resolve(absl::Seconds(1));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->pid, (Pid{9, 1, 5}));
  EXPECT_EQ(found->reg_version, 10u);
  EXPECT_EQ(asked, 1);
}

TEST_F(CallsToNames, OneThatItsNodeSaysIsNotThereIsAskedForAnew) {
  Know(10);
  ASSERT_TRUE(Resolve(absl::Seconds(1)).ok());
  std::string out = "none";
  runtime->Call(Pid{9, 1, 5}, Text("?"), time.Now() + absl::Seconds(5),
                [&](absl::StatusOr<Payload> r, Pid) { out = ErrorReason(r.status()); },
                {.reg_version = 10});
  Settle();
  EXPECT_EQ(out, "NOPROC");
  Resolve(absl::Seconds(1)).status().IgnoreError();
  EXPECT_EQ(asked, 2);
}

TEST_F(CallsToNames, OneOfWhichNoNewsComesAnyMoreIsAskedForAnew) {
  Know(10);
  ASSERT_TRUE(Resolve(absl::Seconds(1)).ok());
  internal::v1::ControlResponse r;
  r.mutable_routes()->add_released()->set_name("far");
  r.mutable_routes()->mutable_released(0)->set_reg_version(std::numeric_limits<uint64_t>::max());
  c.Send(r);
  Settle();
  ASSERT_TRUE(Resolve(absl::Seconds(1)).ok());
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace banyan::testing

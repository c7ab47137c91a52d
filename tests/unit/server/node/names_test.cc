#include <gmock/gmock.h>

#include "fake_coordinator.h"
#include "server/behaviours/lease_lost.h"

namespace banyan::testing {
namespace {

class Names : public NodeTest {
 protected:
  void SetUp() override {
    hooks.resolve = [this](const std::string& name, Node::ResolveDone done) {
      asked.push_back(name);
      done(answer);
    };
    NodeTest::SetUp();
    Join();
    pid = *runtime->Spawn([](Self& self) -> Task<ExitReason> {
      for (;;) {
        Message m = *(co_await self.Receive());
        if (m.is_info()) co_return ExitReason::Normal();
      }
    });
  }
  absl::StatusOr<v1::NameEntry> Register(const std::string& name, bool granted,
                                         bool recovering = false, bool exclusive = false) {
    absl::StatusOr<v1::NameEntry> out = absl::UnknownError("no answer");
    node->RegisterName(name, pid, {}, exclusive,
                       [&](absl::StatusOr<v1::NameEntry> r) { out = std::move(r); });
    Settle(absl::Milliseconds(10));
    if (c.name_requests.empty()) return out;
    internal::v1::ControlResponse r;
    auto* reply = r.mutable_name_reply();
    reply->set_request_seq(c.name_requests.back().request_seq());
    *reply->mutable_entry() = c.name_requests.back().entry();
    reply->mutable_entry()->set_reg_version(++version);
    reply->set_granted(granted);
    reply->set_recovering(recovering);
    c.Send(r);
    Settle(absl::Milliseconds(10));
    return out;
  }
  absl::StatusOr<Resolved> Resolve(Target target, absl::Duration wait = absl::ZeroDuration()) {
    absl::StatusOr<Resolved> out = absl::UnknownError("no answer");
    node->ResolveTarget(std::move(target), time.Now() + wait,
                        [&](absl::StatusOr<Resolved> r) { out = std::move(r); });
    Settle();
    return out;
  }
  void SendView(uint64_t view_version, uint32_t incarnation, v1::NodeState state) {
    internal::v1::ControlResponse r;
    r.mutable_view()->set_version(view_version);
    r.mutable_view()->set_epoch(1);
    r.mutable_view()->set_full(true);
    v1::NodeInfo* m = r.mutable_view()->add_nodes();
    m->set_node_id(9);
    m->set_incarnation(incarnation);
    m->set_name("other");
    m->set_address("other:1");
    m->set_state(state);
    c.Send(r);
    Settle();
  }

  Pid pid;
  uint64_t version = 0;
  std::vector<std::string> asked;
  absl::StatusOr<internal::v1::ResolveResponse> answer = internal::v1::ResolveResponse();
};

TEST_F(Names, AGrantedNameIsHeldReportedAndGoneWithItsHolder) {
  ASSERT_TRUE(Register("n", true).ok());
  EXPECT_EQ(Resolve(Target::Named("n"))->pid, pid);
  network.Break("n:1", "c:1", StreamKind::kControl);
  Settle(absl::Seconds(3));
  ASSERT_EQ(c.chunks.size(), 1u);
  ASSERT_EQ(c.chunks[0].names_size(), 1);
  EXPECT_EQ(c.chunks[0].names(0).reg_version(), 1u);
  runtime->Send(pid, Text("end"));
  Settle();
  ASSERT_TRUE(c.reports.back().has_name_gone());
  EXPECT_EQ(c.reports.back().name_gone().reg_version(), 1u);
}

TEST_F(Names, ARefusedNameSaysWhy) {
  EXPECT_EQ(ErrorReason(Register("n", false).status()), "NAME_TAKEN");
  EXPECT_EQ(ErrorReason(Register("n", false, true).status()), "RECOVERING");
  EXPECT_EQ(ErrorReason(Register("bad name", true).status()), "TARGET_INVALID");
  c.EndControl(absl::OkStatus());
  c.greet = false;
  Settle(absl::Seconds(1));
  c.name_requests.clear();
  EXPECT_EQ(ErrorReason(Register("n", true).status()), "COORDINATOR_UNAVAILABLE");
}

TEST_F(Names, UnregisterReportsAndForgets) {
  ASSERT_TRUE(Register("n", true).ok());
  bool removed = false;
  node->UnregisterName("n", {}, [&](bool r) { removed = r; });
  Settle();
  EXPECT_TRUE(removed);
  EXPECT_TRUE(c.reports.back().has_name_gone());
  EXPECT_EQ(ErrorReason(Resolve(Target::Named("n")).status()), "NAME_NOT_REGISTERED");
}

TEST_F(Names, DeadEndsHolders) {
  ASSERT_TRUE(Register("n", true).ok());
  ExitReason end;
  runtime->Monitor(pid, [&](Pid, ExitReason r) { end = std::move(r); });
  c.incarnation = 2;
  c.EndControl(FakeCoordinator::Dead());
  Settle();
  EXPECT_EQ(end.type(), "name_lost");
}

// N5. A holder that counts what it is sent, and what it hears of its lease and name.
class Holders : public Names {
 protected:
  void SetUp() override {
    Names::SetUp();
    pid = *runtime->Spawn(
        [this](Self& self) -> Task<ExitReason> {
          for (;;) {
            Message m = *(co_await self.Receive());
            if (const auto* lost = m.payload().As<LeaseLost>()) {
              heard.push_back("lease_lost " + lost->name);
            } else if (m.is_exit()) {
              heard.push_back("exit " + m.reason().ToString());
            } else {
              heard.push_back("work");
            }
          }
        },
        {.trap_exit = true});
  }
  void LoseTheLease() {
    c.ack = false;
    Settle(c.freeze + absl::Seconds(2));
  }
  std::vector<std::string> heard;
};

TEST_F(Holders, OneWithoutExclusivityGoesOnAndIsTold) {
  ASSERT_TRUE(Register("n", true).ok());
  LoseTheLease();
  runtime->Send(pid, Text("work"));
  Settle();
  EXPECT_THAT(heard, ::testing::ElementsAre("lease_lost n", "work"));
  c.EndControl(FakeCoordinator::Dead());
  Settle(absl::Seconds(1));
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_THAT(heard[2], ::testing::HasSubstr("name_lost"));
  EXPECT_TRUE(runtime->IsAlive(pid)) << "it traps exits";
}

TEST_F(Holders, AnExclusiveOneFreezesWithTheLeaseAndThaws) {
  ASSERT_TRUE(Register("n", true, false, /*exclusive=*/true).ok());
  runtime->Send(pid, Text("work"));
  Settle();
  LoseTheLease();
  runtime->Send(pid, Text("work"));
  Settle(absl::Seconds(1));
  EXPECT_THAT(heard, ::testing::ElementsAre("work"));
  c.ack = true;
  Settle(absl::Seconds(3));
  EXPECT_THAT(heard, ::testing::ElementsAre("work", "work"));
}

TEST_F(Holders, AnExclusiveOneNeverRunsOnAfterItsNodeWasDeclaredDead) {
  ASSERT_TRUE(Register("n", true, false, /*exclusive=*/true).ok());
  LoseTheLease();
  runtime->Send(pid, Text("work"));
  c.EndControl(FakeCoordinator::Dead());
  c.ack = true;
  ++c.incarnation;
  Settle(absl::Seconds(5));
  EXPECT_FALSE(runtime->IsAlive(pid)) << "although it traps exits";
  EXPECT_TRUE(heard.empty());
}

TEST_F(Holders, ANameThatAnotherHasByNowIsLost) {
  ASSERT_TRUE(Register("n", true).ok());
  internal::v1::ControlResponse r;
  r.mutable_name_reply()->mutable_entry()->set_name("n");
  r.mutable_name_reply()->mutable_entry()->set_reg_version(77);
  c.Send(r);
  Settle();
  EXPECT_TRUE(heard.empty()) << "that is another registration";
  r.mutable_name_reply()->mutable_entry()->set_reg_version(version);
  c.Send(r);
  Settle();
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_THAT(heard[0], ::testing::HasSubstr("name_lost"));
  bool removed = true;
  node->UnregisterName("n", pid, [&](bool r) { removed = r; });
  Settle();
  EXPECT_FALSE(removed) << "it is not held any more";
}

TEST_F(Holders, ANameThatWasTakenAwayIsForgottenAndItsHolderGoesOn) {
  ASSERT_TRUE(Register("n", true).ok());
  internal::v1::ControlResponse r;
  auto* released = r.mutable_routes()->add_released();
  released->set_name("n");
  released->set_reg_version(version);
  c.Send(r);
  Settle();
  EXPECT_TRUE(heard.empty());
  EXPECT_TRUE(runtime->IsAlive(pid));
  network.Break("n:1", "c:1", StreamKind::kControl);
  Settle(absl::Seconds(3));
  for (const auto& chunk : c.chunks) EXPECT_EQ(chunk.names_size(), 0);
}

TEST_F(Names, RoutesAreRememberedUntilSomebodySaysOtherwise) {
  SendView(2, 1, v1::NODE_STATE_ACTIVE);
  auto* entry = answer->mutable_entry();
  entry->set_name("far");
  entry->mutable_pid()->set_node_id(9);
  entry->mutable_pid()->set_incarnation(1);
  entry->mutable_pid()->set_id(5);
  entry->set_reg_version(10);
  absl::StatusOr<Resolved> r = Resolve(Target::Named("far"));
  ASSERT_TRUE(r.ok()) << r.status();
  EXPECT_EQ(r->pid, (Pid{9, 1, 5}));
  EXPECT_EQ(r->address, "other:1");
  ASSERT_TRUE(Resolve(Target::Named("far")).ok());
  EXPECT_EQ(asked.size(), 1u);
  node->ForgetRoute("far");
  ASSERT_TRUE(Resolve(Target::Named("far")).ok());
  EXPECT_EQ(asked.size(), 2u);
  internal::v1::ControlResponse release;
  release.mutable_routes()->add_released()->set_name("far");
  release.mutable_routes()->mutable_released(0)->set_reg_version(10);
  c.Send(release);
  Settle();
  ASSERT_TRUE(Resolve(Target::Named("far")).ok());
  EXPECT_EQ(asked.size(), 3u);
  SendView(3, 1, v1::NODE_STATE_DEAD);
  Resolve(Target::Named("far")).status().IgnoreError();
  EXPECT_EQ(asked.size(), 4u);
}

TEST_F(Names, AStartingChildIsWaitedForUntilTheDeadline) {
  answer->set_starting(true);
  EXPECT_EQ(ErrorReason(Resolve(Target::Named("soon")).status()), "CHILD_RESTARTING");
  absl::StatusOr<Resolved> out = absl::UnknownError("no answer");
  node->ResolveTarget(Target::Named("soon"), time.Now() + absl::Seconds(5),
                      [&](absl::StatusOr<Resolved> r) { out = std::move(r); });
  Settle(absl::Seconds(1));
  EXPECT_EQ(out.status().code(), absl::StatusCode::kUnknown);
  answer->set_starting(false);
  answer->mutable_entry()->mutable_pid()->set_node_id(7);
  answer->mutable_entry()->mutable_pid()->set_incarnation(1);
  answer->mutable_entry()->mutable_pid()->set_id(pid.id);
  Settle(absl::Seconds(1));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->pid, pid);
}

TEST_F(Names, PidsAndLocalNames) {
  SendView(2, 3, v1::NODE_STATE_ACTIVE);
  runtime->Register("here", pid);
  EXPECT_EQ(Resolve({Target::LocalName{"n", "here"}})->pid, pid);
  EXPECT_EQ(Resolve({Target::LocalName{"other", "there"}})->local_name, "there");
  EXPECT_EQ(ErrorReason(Resolve({Target::LocalName{"nowhere", "x"}}).status()), "NODE_NOT_FOUND");
  EXPECT_EQ(Resolve(Target::Of(Pid{7, 1, pid.id}))->pid, pid);
  EXPECT_EQ(Resolve(Target::Of(Pid{9, 3, 4}))->node, "other");
  EXPECT_EQ(ErrorReason(Resolve(Target::Of(Pid{9, 2, 4})).status()), "NOPROC");
  EXPECT_EQ(ErrorReason(Resolve(Target::Of(Pid{7, 9, 4})).status()), "NOPROC");
  EXPECT_EQ(ErrorReason(Resolve(Target::Of(Pid{33, 1, 4})).status()), "NODE_NOT_FOUND");
}

}  // namespace
}  // namespace banyan::testing

#include <algorithm>

#include "gmock/gmock.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// F-14. The store's disk is full for a while.
class FullStore : public ClusterTest {
 protected:
  void SetUp() override {
    before_commit = [this](const Txn& txn) {
      if (!full_) {
        for (const KeyValue& put : txn.puts) committed_.push_back(put.key);
      }
      return full_ ? absl::ResourceExhaustedError("full") : absl::OkStatus();
    };
    AddNode("n1");
    AddNode("n2");
    ChildSpec named = WorkerOn("a", "n1");
    named.start.name = "ay";
    ASSERT_TRUE(StartSupervisor("s", {named, WorkerOn("b", "n2")}).ok());
    time_.RunFor(absl::Seconds(5));
    TakeTrace();
  }
  // From the first change on that cannot be stored.
  void Fill() {
    full_ = true;
    node("n1").Exit("s/a", ExitReason::Error("boom"));
    time_.RunFor(absl::Seconds(2));
    TakeTrace();
  }
  bool full_ = false;
  std::vector<std::string> committed_;
};

TEST_F(FullStore, ChangesAreRefusedAndEverythingElseGoesOn) {
  Fill();
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("c")).status()), "STORE_FULL");
  EXPECT_THAT(Alarms(), Contains(HasSubstr("disk is full")));
  EXPECT_EQ(Children("s").size(), 2u);
  EXPECT_TRUE(Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("ay", done); }).ok());
  auto resolved = Ask<ResolvedTarget>([&](auto done) {
    coordinator_->ResolveTarget({Target::ChildPath{"s", {"b"}}}, time_.Now() + absl::Seconds(1),
                                done);
  });
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  // Leases too, and nodes may come back.
  network_.Break("n2-p1", "coord");
  time_.RunFor(absl::Minutes(3));
  EXPECT_EQ(NodeInfo("n2").state(), v1::NODE_STATE_ACTIVE);
  EXPECT_EQ(NodeInfo("n2").incarnation(), 1u);
  EXPECT_THAT(TakeTrace(), IsEmpty()) << "nothing is started that is not recorded";
}

TEST_F(FullStore, ADeathThatIsNotRecordedReplacesNothing) {
  Fill();
  KillNode("n2");
  time_.RunFor(absl::Minutes(2));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  AddNode("n3");
  EXPECT_FALSE(node("n3").joined()) << "its incarnation cannot be recorded";
}

// A stop is part of what it is for: who forgot that would start the child alone.
TEST_F(FullStore, AStopThatIsNotRecordedIsNotSentToANodeThatComesBack) {
  ASSERT_TRUE(StartSupervisor("g", {WorkerOn("x", "n1"), WorkerOn("y", "n2")},
                              {.strategy = Strategy::kOneForAll, .intensity = 3})
                  .ok());
  TakeTrace();
  full_ = true;
  node("n1").Exit("g/x", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 exit x"));
  network_.Break("n2-p1", "coord");
  time_.RunFor(absl::Seconds(20));
  EXPECT_EQ(NodeInfo("n2").state(), v1::NODE_STATE_ACTIVE);
  EXPECT_THAT(TakeTrace(), IsEmpty());
  full_ = false;
  time_.RunFor(absl::Seconds(3));
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 stop y", "n1 start x", "n2 start y"));
}

TEST_F(FullStore, HealsByItself) {
  Fill();
  full_ = false;
  time_.RunFor(absl::Seconds(3));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a"));
  EXPECT_THAT(Alarms(), IsEmpty());
  EXPECT_TRUE(StartChild("s", Worker("c")).ok());
}

// A change must never be in the store without those before it, however small it is.
TEST_F(FullStore, NothingOvertakesWhatDidNotFit) {
  bool once = true;
  before_commit = [&](const Txn& txn) {
    for (const KeyValue& put : txn.puts) {
      if (once && put.key == "sup/t") return absl::ResourceExhaustedError("full");
    }
    for (const KeyValue& put : txn.puts) committed_.push_back(put.key);
    return absl::OkStatus();
  };
  committed_.clear();
  StartSupervisorArgs args;
  args.name = "t";
  coordinator_->StartSupervisor(args, [](auto) {});
  // In a later turn, when the store has already failed the one before.
  time_.ScheduleAt(time_.Now(), [&] { coordinator_->Cordon({"n1", "", ""}, [](auto) {}); });
  time_.RunFor(absl::Milliseconds(500));
  EXPECT_THAT(committed_, IsEmpty());
  once = false;
  time_.RunFor(absl::Seconds(3));
  ASSERT_THAT(committed_, Contains("node/n1"));
  EXPECT_LT(std::find(committed_.begin(), committed_.end(), "sup/t"),
            std::find(committed_.begin(), committed_.end(), "node/n1"));
}

}  // namespace
}  // namespace banyan::testing

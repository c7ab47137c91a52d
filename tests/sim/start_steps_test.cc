// F-10a to g: the coordinator crashes at each step of a StartChild, one after the other, and at
// each step of what its successor does about it. Whoever repeats the request gets one answer and
// one child.
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

#include "common/base/error.h"
#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

enum class Init { kGood, kFails, kSlow };

class StartSteps {
 public:
  // Crashes at the `first`th step after the request, and at the `second`th after that.
  StartSteps(Init init, int first, int second)
      : init_(init),
        crash_at_{first, second},
        cluster_({.seed = 7, .nodes = 2, .coordinator = {}}) {
    cluster_.set_scripts([init](const std::string&) {
      ProbeScript script;
      script.init_fails = init == Init::kFails ? 1 : 0;
      script.init_hangs = init == Init::kSlow ? 1 : 0;
      script.hang = absl::Seconds(3);
      return script;
    });
  }
  ~StartSteps() { cluster_.crash_point = nullptr; }

  void Run() {
    Boot();
    if (::testing::Test::HasFailure()) return;
    const uint64_t starts = cluster_.history().starts();
    cluster_.crash_point = [this](std::string_view point) { return Step(point); };
    asking_ = true;
    Ask();
    ASSERT_TRUE(cluster_.time().RunUntil([&] { return answer_.has_value(); }, absl::Seconds(60)))
        << "no answer";
    cluster_.crash_point = nullptr;
    cluster_.time().RunFor(absl::Seconds(6));
    ASSERT_TRUE(cluster_.coordinator_up());
    EXPECT_EQ(cluster_.history().starts() - starts, 1u);
    const std::vector<v1::ChildInfo> children = cluster_.Children("all");
    if (init_ == Init::kFails) {
      EXPECT_EQ(ErrorReason(answer_->status()), "CHILD_START_FAILED") << answer_->status();
      EXPECT_TRUE(children.empty());
    } else {
      ASSERT_TRUE(answer_->ok()) << answer_->status();
      ASSERT_EQ(children.size(), 1u);
      EXPECT_EQ(children[0].fence(), (*answer_)->child().fence());
    }
    CheckName();
    CheckAnswer();
    if (init_ == Init::kFails) return;
    // The nodes dial a coordinator that has crashed twice after a while.
    v1::ChildInfo child = cluster_.Children("all").at(0);
    for (int i = 0; i < 20 && child.state() != v1::CHILD_STATE_RUNNING; ++i) {
      cluster_.time().RunFor(absl::Seconds(1));
      child = cluster_.Children("all").at(0);
    }
    EXPECT_EQ(child.state(), v1::CHILD_STATE_RUNNING);
    EXPECT_EQ(child.fence(), (*answer_)->child().fence());
    EXPECT_EQ(cluster_.history().starts() - starts, 1u);
    for (const std::string& v : cluster_.history().violations()) ADD_FAILURE() << v;
  }

  // Steps at which it crashed.
  const std::vector<std::string>& crashes() const { return crashes_; }

 private:
  void Boot() {
    cluster_.StartCoordinator();
    cluster_.StartNode(0);
    cluster_.StartNode(1);
    ASSERT_TRUE(cluster_.WaitForNodes(2, absl::Seconds(30)));
    StartSupervisorArgs args;
    args.name = "all";
    absl::StatusOr<v1::SupervisorInfo> started;
    ASSERT_TRUE(cluster_.Ask<v1::SupervisorInfo>(
        absl::Seconds(20), &started, [&](Reply<v1::SupervisorInfo> done) {
          cluster_.coordinator().StartSupervisor(args, std::move(done));
        }));
    ASSERT_TRUE(started.ok()) << started.status();
  }

  static StartChildArgs Args() {
    StartChildArgs args{.supervisor = Target::Named("all")};
    args.spec.emplace();
    args.spec->id = "child";
    args.spec->start.module = "probe";
    args.spec->start.name = "the-name";
    args.request_id = "request";
    return args;
  }

  bool Step(std::string_view point) {
    if (!asking_ || crashes_.size() == 2 || step_++ != crash_at_[crashes_.size()]) return false;
    crashes_.emplace_back(point);
    step_ = 0;
    cluster_.After(absl::Milliseconds(100), [this] { cluster_.StartCoordinator(); });
    return true;
  }

  // The same request again and again, until it is answered.
  void Ask() {
    if (answer_) return;
    if (cluster_.coordinator_up()) {
      cluster_.coordinator().StartChild(Args(), [this](absl::StatusOr<v1::StartChildResponse> r) {
        if (cluster_.AtPoint("before_reply")) return cluster_.CrashCoordinatorNow("before_reply");
        const bool again = !r.ok() && (r.status().code() == absl::StatusCode::kUnavailable ||
                                       r.status().code() == absl::StatusCode::kResourceExhausted);
        if (!again && !answer_) answer_ = std::move(r);
      });
    }
    cluster_.After(absl::Milliseconds(250), [this] { Ask(); });
  }

  // The name is there with the child, and free without it: F-10g.
  void CheckName() {
    absl::StatusOr<v1::LookupResponse> found;
    ASSERT_TRUE(cluster_.Ask<v1::LookupResponse>(
        absl::Seconds(5), &found, [this](Reply<v1::LookupResponse> done) {
          cluster_.coordinator().Lookup("the-name", std::move(done));
        }));
    if (init_ == Init::kFails) {
      EXPECT_EQ(ErrorReason(found.status()), "NAME_NOT_REGISTERED") << found.status();
    } else {
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_TRUE(found->has_entry());
    }
  }

  // Also the next leader knows it.
  void CheckAnswer() {
    for (int lives = 0; lives < 2; ++lives) {
      absl::StatusOr<v1::StartChildResponse> again;
      ASSERT_TRUE(cluster_.Ask<v1::StartChildResponse>(
          absl::Seconds(5), &again, [this](Reply<v1::StartChildResponse> done) {
            cluster_.coordinator().StartChild(Args(), std::move(done));
          }));
      ASSERT_EQ(again.ok(), answer_->ok()) << again.status();
      if (again.ok()) {
        EXPECT_EQ(again->SerializeAsString(), (*answer_)->SerializeAsString());
      } else {
        EXPECT_EQ(again.status().ToString(), answer_->status().ToString());
      }
      if (lives == 1) return;
      cluster_.CrashCoordinator();
      cluster_.StartCoordinator();
      cluster_.time().RunFor(absl::Seconds(3));
    }
  }

  const Init init_;
  const int crash_at_[2];
  bool asking_ = false;
  int step_ = 0;
  std::vector<std::string> crashes_;
  std::optional<absl::StatusOr<v1::StartChildResponse>> answer_;
  SimCluster cluster_;
};

constexpr int kNever = 1'000'000;

// Each step, until there are no more; and for each the steps of the life after it. Returns the
// names of those of the first life.
std::set<std::string> Steps(Init init) {
  std::set<std::string> names;
  for (int first = 0;; ++first) {
    for (int second = -1;; ++second) {
      SCOPED_TRACE(fmt::format("crashes at steps {} and {}", first, second));
      StartSteps run(init, first, second < 0 ? kNever : second);
      run.Run();
      if (::testing::Test::HasFailure()) return names;
      if (run.crashes().empty()) return names;
      names.insert(run.crashes()[0]);
      if (second >= 0 && run.crashes().size() == 1) break;
    }
  }
}

std::string Missing(const std::set<std::string>& names, const std::vector<std::string>& wanted) {
  std::string missing;
  for (const std::string& name : wanted) missing += names.contains(name) ? "" : " " + name;
  return missing;
}

TEST(StartSteps, F10aToEGoOnAfterACrashAtAnyOfThem) {
  EXPECT_EQ(Missing(Steps(Init::kGood), {"assignment.before_commit", "assignment.after_commit",
                                         "start.sent", "started.reported", "before_reply"}),
            "");
}

TEST(StartSteps, F10cWhileTheChildStarts) {
  EXPECT_EQ(Missing(Steps(Init::kSlow), {"start.sent", "started.reported", "before_reply"}), "");
}

TEST(StartSteps, F10fAFailedInitIsTheAnswerAndTheNameIsFree) {
  EXPECT_EQ(Missing(Steps(Init::kFails), {"start.sent", "start_failed.reported", "before_commit",
                                          "after_commit", "before_reply"}),
            "");
}

}  // namespace
}  // namespace banyan::sim

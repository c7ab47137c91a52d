// F-42: many calls to a child that keeps being restarted. Each ends in its time, runs once at most
// and not when its time is over; those that come between two lives wait for the next.
#include <memory>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

#include "common/base/error.h"
#include "server/behaviours/gen_server.h"
#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

constexpr char kName[] = "called";
// What is on its way when the time is over.
constexpr absl::Duration kOnTheWay = absl::Milliseconds(700);

struct Call {
  Instant made, due;
  bool ended = false, refused = false;
  int runs = 0;
};

// Starts slowly, and answers slowly.
class Called : public GenServer {
 public:
  Called(SimCluster* cluster, std::vector<Call>* calls) : cluster_(cluster), calls_(calls) {}
  Task<InitResult> Init(std::vector<Payload>) override {
    co_await self().Sleep(absl::Seconds(2));
    co_return Ok();
  }
  Task<CallResult> HandleCall(Payload request, CallFrom) override {
    Call& call = (*calls_)[std::stoul(request.bytes())];
    EXPECT_EQ(++call.runs, 1) << request.bytes();
    EXPECT_FALSE(call.refused) << request.bytes() << " was not_executed, and runs";
    EXPECT_LE(cluster_->time().Now() - call.due, kOnTheWay) << request.bytes();
    co_await self().Sleep(absl::Milliseconds(15));
    co_return Reply(std::move(request));
  }
  Task<Result> HandleCast(Payload) override { return NoReply(); }

 private:
  SimCluster* const cluster_;
  std::vector<Call>* const calls_;
};

class Module : public Workload {
 public:
  Module(SimCluster* cluster, std::vector<Call>* calls) : cluster_(cluster), calls_(calls) {}
  std::string_view name() const override { return kName; }
  void AddModules(int, Modules* modules) override {
    modules->AddBehaviour(kName, [this] { return std::make_unique<Called>(cluster_, calls_); });
  }

 private:
  SimCluster* const cluster_;
  std::vector<Call>* const calls_;
};

class Storm {
 public:
  explicit Storm(uint64_t seed) : cluster_({.seed = seed, .nodes = 3, .coordinator = {}}) {
    cluster_.AddWorkload(std::make_unique<Module>(&cluster_, &calls_));
  }

  void Run() {
    calls_.reserve(5000);
    cluster_.StartCoordinator();
    for (int i = 0; i < cluster_.size(); ++i) cluster_.StartNode(i);
    ASSERT_TRUE(cluster_.WaitForNodes(cluster_.size(), absl::Seconds(30)));
    StartSupervisorArgs args;
    args.name = "all";
    args.spec.flags.intensity = 1000;
    ChildSpec& spec = args.spec.children.emplace_back();
    spec.id = kName;
    spec.start.module = kName;
    spec.start.name = kName;
    absl::StatusOr<v1::SupervisorInfo> started;
    ASSERT_TRUE(cluster_.Ask<v1::SupervisorInfo>(
        absl::Seconds(20), &started, [&](Reply<v1::SupervisorInfo> done) {
          cluster_.coordinator().StartSupervisor(args, std::move(done));
        }));
    ASSERT_TRUE(started.ok()) << started.status();
    const Instant end = cluster_.time().Now() + absl::Seconds(24);
    for (int turn = 0; cluster_.time().Now() < end; ++turn) {
      for (int i = 0; i < cluster_.size(); ++i) Make(i);
      if (turn % 150 == 149) Crash();
      cluster_.time().RunFor(absl::Milliseconds(50));
    }
    cluster_.time().RunFor(absl::Seconds(10));
    for (size_t i = 0; i < calls_.size(); ++i) EXPECT_TRUE(calls_[i].ended) << "call " << i;
    for (const std::string& v : cluster_.history().violations()) ADD_FAILURE() << v;
    EXPECT_GT(waited_, 10u);
    EXPECT_GT(restarting_, 10u);
  }

 private:
  void Make(int node) {
    Random& random = cluster_.random();
    const Instant now = cluster_.time().Now();
    calls_.push_back({.made = now, .due = now + absl::Milliseconds(20 + random.Below(5000))});
    Try(node, calls_.size() - 1, 0);
  }

  void Try(int node, size_t number, int tries) {
    const absl::Duration left = calls_[number].due - cluster_.time().Now();
    const Instant deadline = cluster_.runtime(node).clock().Now() + left;
    cluster_.node(node).ResolveTarget(
        Target::Named(kName), deadline, [=, this](absl::StatusOr<Resolved> found) {
          if (!found.ok()) return End(number, found.status());
          cluster_.runtime(node).Call(
              found->pid, Payload::Any("type.googleapis.com/sim.Call", fmt::format("{}", number)),
              deadline, [=, this](absl::StatusOr<Payload> answer, Pid) {
                if (!NotExecuted(answer.status()) || tries > 20)
                  return End(number, answer.status());
                // The holder has ended, and this node knows no better yet.
                cluster_.node(node).ForgetRoute(kName);
                Try(node, number, tries + 1);
              });
        });
  }

  static bool NotExecuted(const absl::Status& status) {
    std::optional<ErrorInfo> info = GetErrorInfo(status);
    return info && info->metadata["outcome"] == kNotExecuted && info->reason == "NOPROC";
  }

  void End(size_t number, const absl::Status& status) {
    Call& call = calls_[number];
    EXPECT_FALSE(call.ended) << number;
    call.ended = true;
    const Instant now = cluster_.time().Now();
    EXPECT_LE(now - call.due, kOnTheWay) << number << " " << status;
    if (status.ok()) {
      EXPECT_EQ(call.runs, 1) << number;
      waited_ += now - call.made > absl::Seconds(1);
      return;
    }
    restarting_ += ErrorReason(status) == "CHILD_RESTARTING";
    std::optional<ErrorInfo> info = GetErrorInfo(status);
    ASSERT_TRUE(info) << status;
    if (info->metadata["outcome"] != kNotExecuted) return;
    call.refused = true;
    EXPECT_EQ(call.runs, 0) << number << " " << status;
  }

  void Crash() {
    for (int i = 0; i < cluster_.size(); ++i) {
      for (const ProcessSnapshot& p : cluster_.runtime(i).List()) {
        if (p.module == kName) cluster_.runtime(i).Exit(p.pid, ExitReason::Error("crash"));
      }
    }
  }

  std::vector<Call> calls_;
  uint64_t waited_ = 0, restarting_ = 0;
  SimCluster cluster_;
};

TEST(RestartCalls, F42EachEndsInItsTimeAndRunsOnceAtMost) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(seed);
    Storm(seed).Run();
  }
}

}  // namespace
}  // namespace banyan::sim

#include "tests/sim/workload_crashes.h"

#include <algorithm>

#include "fmt/format.h"

#include "banyan/internal/v1/store.pb.h"
#include "server/behaviours/gen_server.h"

namespace banyan::sim {
namespace {

constexpr char kBomb[] = "bombs/bomb";
constexpr uint64_t kMarks = 3;  // CoordinatorOptions::poison_marks_max
// A mark is for who had started less than a minute before the loss was written down.
constexpr absl::Duration kYoung = absl::Seconds(50);
// Of a life that ends later it may be the lease that tells, and nobody's word.
constexpr absl::Duration kBeforeLease = absl::Seconds(20);
constexpr absl::Duration kCrashTick = absl::Milliseconds(50);

}  // namespace

// Ends its node shortly after it has started. Its sibling does no harm.
class CrashWorkload::Bomb : public GenServer {
 public:
  Bomb(CrashWorkload* workload, int node) : workload_(workload), node_(node) {}

  Task<InitResult> Init(std::vector<Payload>) override {
    started_ = workload_->cluster_->time().Now();
    if (context().path.back() == "bomb")
      self().StartTimer(absl::Seconds(3) * workload_->random_->Unit());
    return Ok();
  }
  Task<CallResult> HandleCall(Payload request, CallFrom) override { return Reply(request); }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
  Task<Result> HandleInfo(Message) override {
    if (!workload_->quiet_) workload_->Explode(node_, context().path, context().fence, started_);
    return NoReply();
  }

 private:
  CrashWorkload* const workload_;
  const int node_;
  Instant started_;
};

void CrashWorkload::AddModules(int node, Modules* modules) {
  modules->AddBehaviour("bomb", [this, node] { return std::make_unique<Bomb>(this, node); });
}

void CrashWorkload::Start(SimCluster& cluster) {
  cluster_ = &cluster;
  random_ = cluster.Fork(name());
  told_ = random_->Below(2) == 0;
  intensity_ = told_ ? 1 + static_cast<uint32_t>(random_->Below(3)) : 1000;
  StartSupervisorArgs args;
  args.name = "bombs";
  args.request_id = "bombs";
  args.spec.flags = {.intensity = intensity_, .period = absl::Minutes(10)};
  for (const char* id : {"bomb", "sibling"}) {
    ChildSpec& spec = args.spec.children.emplace_back();
    spec.id = id;
    spec.start.module = "bomb";
  }
  absl::StatusOr<v1::SupervisorInfo> started;
  const bool answered = cluster.Ask<v1::SupervisorInfo>(
      absl::Seconds(10), &started, [&](Reply<v1::SupervisorInfo> done) {
        cluster.coordinator().StartSupervisor(args, std::move(done));
      });
  if (!answered || !started.ok())
    return cluster.history().Violation("INV-17: the supervisor of the crashes does not start");
  Look();
}

void CrashWorkload::Explode(int node, const std::vector<std::string>& path, uint64_t fence,
                            Instant started) {
  const wire::NodeIdentity id = cluster_->node(node).identity();
  crashes_.push_back({.node_id = id.node_id,
                      .incarnation = id.incarnation,
                      .started = started,
                      .at = cluster_->time().Now()});
  cluster_->history().Event("fault", "crash by a child",
                            fmt::format("{} fence {}{}", SimCluster::NodeName(node), fence,
                                        told_ ? "" : ", nobody is told whose"));
  cluster_->history().Mark("a child crashed its node");
  if (told_) cluster_->store_checks().OnCrash(kBomb, 0, cluster_->time().Now());
  internal::v1::LastCrash crash;
  for (const std::string& part : path) crash.add_path(part);
  crash.set_fence(fence);
  crash.set_signal(11);
  const absl::Duration down = absl::Milliseconds(100) + absl::Seconds(4) * random_->Unit();
  cluster_->Trouble(node, cluster_->time().Now() + down + absl::Seconds(2));
  cluster_->CrashInTurn(node, crash, told_, random_->Below(2) == 0);
  cluster_->After(down, [this, node, live = std::weak_ptr<bool>(live_)] {
    if (!live.expired() && !cluster_->node_up(node)) cluster_->StartNode(node);
  });
}

void CrashWorkload::Look() {
  const Instant now = cluster_->time().Now();
  for (CrashOf& crash : crashes_) {
    const bool in_time = told_ ? now - crash.at < kBeforeLease : now - crash.started < kYoung;
    crash.counts |= in_time && cluster_->store_checks().Gone(crash.node_id, crash.incarnation);
  }
  if (Counted() > Limit()) {
    cluster_->history().Violation(fmt::format(
        "INV-19: one child has taken down {} nodes, and {} is the most", Counted(), Limit()));
  }
  cluster_->After(kCrashTick, [this, live = std::weak_ptr<bool>(live_)] {
    if (!live.expired()) Look();
  });
}

uint64_t CrashWorkload::Limit() const { return told_ ? intensity_ + 1 : kMarks; }

uint64_t CrashWorkload::Counted() const {
  return static_cast<uint64_t>(
      std::count_if(crashes_.begin(), crashes_.end(), [](const CrashOf& c) { return c.counts; }));
}

void CrashWorkload::CheckInnocents() {
  for (const auto& [key, value] : cluster_->disk().data) {
    internal::v1::AssignmentRecord asg;
    if (!key.ends_with("/asg") || !asg.ParseFromString(value) || asg.poison_marks_size() == 0)
      continue;
    cluster_->history().Violation(
        fmt::format("INV-19: {} has {} marks, and it is known who crashed the nodes", key,
                    asg.poison_marks_size()));
  }
}

void CrashWorkload::AtQuiescence() {
  if (told_ && Counted() == crashes_.size()) CheckInnocents();
  if (Counted() < Limit()) return;
  for (const v1::ChildInfo& child : cluster_->Children("bombs")) {
    if (child.id() != "bomb") continue;
    if (child.state() == v1::CHILD_STATE_RUNNING || child.state() == v1::CHILD_STATE_STARTING) {
      cluster_->history().Violation(
          fmt::format("INV-19: {} runs after {} crashes of nodes", kBomb, Counted()));
    }
    if (told_) continue;
    if (child.state_reason() != "poison") {
      cluster_->history().Violation(
          fmt::format("INV-19: {} has lost {} nodes and is {} ({})", kBomb, Counted(),
                      v1::ChildState_Name(child.state()), child.state_reason()));
    }
    cluster_->history().Mark("a child was given up as poison");
  }
  if (told_) cluster_->history().Mark("a child that crashes nodes was given up");
}

}  // namespace banyan::sim

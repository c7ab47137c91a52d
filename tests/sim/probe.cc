#include "tests/sim/probe.h"

#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(200);

}  // namespace

Probe::~Probe() {
  if (!life_.child.empty()) cluster_->OnProbeEnded(life_, why_);
}

Task<GenServer::InitResult> Probe::Init(std::vector<Payload>) {
  Life life;
  const std::vector<std::string>& path = context().path;
  for (const std::string& name : path) life.child += (life.child.empty() ? "" : "/") + name;
  life.fence = context().fence;
  life.node = cluster_->AddressOf(slot_);
  life.exclusive = context().exclusive;
  life_ = std::move(life);
  cluster_->OnProbeStarted(&life_, slot_);
  Random& random = cluster_->probe_random();
  const ProbeScript script = cluster_->ScriptOf(life_.child);
  if (script.init_hangs > 0 && random.Unit() < script.init_hangs) {
    co_await self().Sleep(script.hang * random.Unit());
    cluster_->OnProbeRan(&life_, slot_);
  }
  if (script.init_fails > 0 && random.Unit() < script.init_fails) {
    why_ = "init failed";
    co_return Stop(ExitReason::Error("sim_init"));
  }
  Run();
  co_return Ok();
}

Task<GenServer::CallResult> Probe::HandleCall(Payload request, CallFrom) {
  cluster_->OnProbeRan(&life_, slot_);
  return Reply(std::move(request));
}

Task<GenServer::Result> Probe::HandleInfo(Message) {
  Run();
  Random& random = cluster_->probe_random();
  const ProbeScript script = cluster_->ScriptOf(life_.child);
  const double tick = absl::ToDoubleSeconds(kTick);
  if (script.crashes_per_s > 0 && random.Unit() < script.crashes_per_s * tick) {
    why_ = "crash";
    return Result(Stop(ExitReason::Error("sim")));
  }
  if (script.hangs_per_s > 0 && random.Unit() < script.hangs_per_s * tick)
    return Hang(script.hang * random.Unit());
  return NoReply();
}

Task<GenServer::Result> Probe::Hang(absl::Duration d) {
  co_await self().Sleep(d);
  cluster_->OnProbeRan(&life_, slot_);
  co_return NoReply();
}

Task<void> Probe::Terminate(ExitReason reason) {
  if (why_ == "gone") why_ = reason.ToString();
  return Task<void>();
}

void Probe::Run() {
  cluster_->OnProbeRan(&life_, slot_);
  self().StartTimer(kTick);
}

}  // namespace banyan::sim

#include "server/node/lease_client.h"

#include <algorithm>
#include <map>

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "server/node/node_core.h"

namespace banyan {

LeaseClient::LeaseClient(Node::Core* node)
    : node_(node),
      lease_(times_),
      stream_(node->deps.transport, node->deps.executor),
      dial_timer_(node->deps.timers, node->deps.executor),
      beat_timer_(node->deps.timers, node->deps.executor),
      freeze_timer_(node->deps.timers, node->deps.executor) {
  lease_.AcceptEpoch(node->options.epoch_seen);
}

void LeaseClient::Begin(const LeaseTimes& times, bool new_life) {
  if (new_life || !(times == times_)) {
    const uint32_t epoch = lease_.epoch();
    times_ = times;
    lease_ = NodeLease(times_);
    lease_.AcceptEpoch(epoch);
    if (new_life) node_->deps.runtime->SetLeaseUntil(Instant());  // until the first acknowledgement
  }
  on_ = true;
  pause_ = absl::ZeroDuration();
  if (stream_.open() && address_ == node_->control.address()) return;
  Dial();
}

void LeaseClient::Stop() {
  on_ = false;
  dial_timer_.Cancel();
  beat_timer_.Cancel();
  freeze_timer_.Cancel();
  frozen_ = frozen_told_ = overrun_told_ = false;
  lease_.Reset();
  stream_.Abort();
}

void LeaseClient::Dial() {
  if (!on_) return;
  dial_timer_.Cancel();
  address_ = node_->control.address();
  stream_.Dial(
      address_, StreamKind::kLease, [this](std::string bytes) { OnFrame(std::move(bytes)); },
      [this](const absl::Status& status) { OnClose(status); });
  Beat();
}

void LeaseClient::Beat() {
  const Instant now = node_->deps.clock->Now();
  const wire::NodeIdentity self = node_->identity();
  // Full jitter of a tenth, so that a fleet's heartbeats spread.
  const absl::Duration period = times_.heartbeat * (0.9 + 0.2 * node_->deps.random->Unit());
  beat_timer_.Set(now + period, [this] { Beat(); });
  if (!stream_.open() || self.node_id == 0) return;
  internal::v1::LeaseRequest beat;
  beat.set_node_id(self.node_id);
  beat.set_incarnation(self.incarnation);
  beat.set_seq(lease_.OnSend(now));
  beat.set_sent_ns(static_cast<uint64_t>(now.nanos()));
  beat.set_acked_seq(lease_.acked_seq());
  *beat.mutable_load() = node_->Load();
  beat.set_view_version(node_->view()->version());
  beat.set_frozen(frozen_);
  const bool told = (node_->control.features() & feature::kWatcherNews) != 0;
  if (told && node_->options.has_watcher && node_->deps.watch_page)
    beat.set_no_watcher(!node_->deps.watch_page->WatcherAlive());
  stream_.Write(beat.SerializeAsString());
}

void LeaseClient::OnFrame(std::string bytes) {
  internal::v1::LeaseResponse ack;
  // What cannot be read renews nothing.
  if (!on_ || !ack.ParseFromString(bytes) || !lease_.OnAck(ack.seq(), ack.epoch())) return;
  pause_ = absl::ZeroDuration();
  node_->OnStoreRevision(ack.store_revision());
  if (WatchPageSink* page = node_->deps.watch_page) {
    // The page first: the watcher must never see code run on a lease that it does not know.
    page->SetLease(lease_.expires_at() - times_.node, lease_.freeze_at(), lease_.expires_at());
    page->SetFrozen(false);
  }
  frozen_told_ = overrun_told_ = false;
  Instant until = lease_.freeze_at();
  if (Mutant("lease-from-reply")) until = node_->deps.clock->Now() + times_.freeze;
  if (Mutant("no-freeze")) until = Instant::Infinite();
  node_->deps.runtime->SetLeaseUntil(until);
  if (node_->deps.clock->Now() < lease_.freeze_at()) SetFrozen(false);
  ArmFreeze();
}

void LeaseClient::OnClose(const absl::Status& status) {
  // Of a node that leaves the coordinator ends both streams, in any order.
  if (!on_ || node_->control.leaving()) return;
  if (ErrorReason(status) == "DEAD") return node_->OnDead();
  const NodeOptions& o = node_->options;
  pause_ = std::min(o.redial_max, std::max(o.redial_min, 2 * pause_));
  dial_timer_.Set(node_->deps.clock->Now() + pause_ * node_->deps.random->Unit(),
                  [this] { Dial(); });
}

// ------------------------------------------------------------------- freeze

void LeaseClient::ArmFreeze() {
  freeze_timer_.Set(lease_.freeze_at(), [this] { Watch(); });
}

void LeaseClient::SetFrozen(bool frozen) {
  if (std::exchange(frozen_, frozen) == frozen) return;
  node_->SetFrozen(frozen);
}

// From T_freeze on the runtime itself dispatches nothing exclusive; what was on a thread by then is
// watched until it is off, or until its time is over.
void LeaseClient::Watch() {
  const Instant now = node_->deps.clock->Now();
  if (now < lease_.freeze_at()) return ArmFreeze();
  SetFrozen(true);
  if (node_->deps.runtime->RunningExclusive().empty()) {
    if (!std::exchange(frozen_told_, true) && node_->deps.watch_page)
      node_->deps.watch_page->SetFrozen(true);
    return;
  }
  if (now >= lease_.expires_at() && !overrun_told_) {
    std::vector<Pid> overrun = MustAbort();
    overrun_told_ = !overrun.empty();
    if (!overrun.empty() && node_->hooks.overrun) node_->hooks.overrun(std::move(overrun));
  }
  const absl::Duration look_again = std::min(times_.heartbeat / 5, absl::Milliseconds(50));
  const Instant next = now + look_again;
  freeze_timer_.Set(now < lease_.expires_at() ? std::min(next, lease_.expires_at()) : next,
                    [this] { Watch(); });
}

// Those on a thread whose child does not say that an overrun is only to be reported. A process
// below a child is its child's, whatever its depth; one of unknown descent counts.
std::vector<Pid> LeaseClient::MustAbort() const {
  std::map<Pid, Pid> parents;
  for (const ProcessSnapshot& s : node_->deps.runtime->List()) parents[s.pid] = s.parent;
  std::vector<Pid> out;
  for (Pid running : node_->deps.runtime->RunningExclusive()) {
    const AssignedChildren::Child* child = nullptr;
    Pid at = running;
    for (int depth = 0; depth < 64 && at.valid() && !child; ++depth) {
      child = node_->children.FindByPid(at);
      auto it = parents.find(at);
      at = it == parents.end() ? Pid{} : it->second;
    }
    if (!child || child->spec->overrun != Overrun::kReport) out.push_back(running);
  }
  return out;
}

}  // namespace banyan

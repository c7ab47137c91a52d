#include "server/runtime/external_calls.h"

#include <algorithm>
#include <utility>

#include "common/base/error.h"
#include "server/runtime/call_error.h"

namespace banyan {

Ref ExternalCalls::Call(SignalPtr request, Instant deadline, Runtime::CallDone done) {
  if (request->ref == 0) request->ref = rt_->NextRef();
  const Ref ref = request->ref;
  const Pid target = request->to;
  {
    Shard& s = shard(ref);
    MutexLock lock(&s.mu);
    Entry& e = s.entries[ref];
    e.target = target;
    e.done = std::move(done);
    if (!deadline.infinite()) {
      e.timeout = deadline - rt_->clock().Now();
      // Under the lock: the timer must find its entry complete.
      e.timer = rt_->timers().ScheduleAt(deadline, [this, ref, target] {
        Entry entry;
        if (!Take(ref, &entry)) return;
        Tell(SignalKind::kCancel, target, ref);
        entry.timer = 0;
        Finish(std::move(entry), {CallReply::Outcome::kTimeout, {}, {}, {}, {}});
      });
    }
  }
  rt_->Enqueue(std::move(request));
  return ref;
}

bool ExternalCalls::Cancel(Ref ref) {
  Entry entry;
  if (!Take(ref, &entry)) return false;
  if (entry.timer) rt_->timers().Cancel(entry.timer);
  Tell(SignalKind::kCancel, entry.target, ref);
  return true;
}

Ref ExternalCalls::Monitor(Pid target, std::function<void(Pid, ExitReason)> down) {
  const Ref ref = rt_->NextRef();
  {
    Shard& s = shard(ref);
    MutexLock lock(&s.mu);
    Entry& e = s.entries[ref];
    e.target = target;
    e.down = std::move(down);
  }
  auto signal = std::make_unique<Signal>(SignalKind::kMonitor);
  signal->to = target;
  signal->ref = ref;
  rt_->Enqueue(std::move(signal));
  return ref;
}

bool ExternalCalls::Demonitor(Ref ref) {
  Entry entry;
  if (!Take(ref, &entry)) return false;
  Tell(SignalKind::kDemonitor, entry.target, ref);
  return true;
}

void ExternalCalls::Deliver(SignalPtr s) {
  Entry entry;
  if (s->kind != SignalKind::kReply && s->kind != SignalKind::kDown) return;
  if (!Take(s->ref, &entry)) {
    rt_->mutable_counters().late_replies.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (s->kind == SignalKind::kReply) {
    Finish(std::move(entry),
           {CallReply::Outcome::kReply, std::move(s->status), std::move(s->payload), {}, s->from});
  } else {
    Finish(std::move(entry), {CallReply::Outcome::kDown, {}, {}, std::move(s->reason), s->from});
  }
}

void ExternalCalls::ConnectionLost(uint32_t node_id, uint32_t incarnation) {
  std::vector<Entry> lost = TakeAll([&](const Entry& e) {
    return e.target.node_id == node_id && e.target.incarnation == incarnation;
  });
  for (Entry& e : lost)
    Finish(std::move(e), {CallReply::Outcome::kDown, {}, {}, ExitReason::NoConnection(), {}});
}

bool ExternalCalls::WaitsFor(uint32_t node_id, uint32_t incarnation) {
  for (Shard& s : shards_) {
    MutexLock lock(&s.mu);
    for (const auto& [ref, e] : s.entries) {  // seam: any of them will do
      if (e.target.node_id == node_id && e.target.incarnation == incarnation) return true;
    }
  }
  return false;
}

void ExternalCalls::Shutdown() {
  for (Entry& e : TakeAll([](const Entry&) { return true; })) {
    // It may have been on its way, or have run elsewhere.
    Finish(std::move(e), {CallReply::Outcome::kReply,
                          MakeError("NODE_STOPPING", "the node is stopping",
                                    {{"outcome", std::string(kOutcomeUnknown)}}),
                          {},
                          {},
                          {}});
  }
}

std::vector<ExternalCalls::Entry> ExternalCalls::TakeAll(
    const std::function<bool(const Entry&)>& which) {
  std::vector<std::pair<Ref, Entry>> taken;
  for (Shard& s : shards_) {
    MutexLock lock(&s.mu);
    for (auto it = s.entries.begin(); it != s.entries.end();) {
      auto now = it++;
      if (!which(now->second)) continue;
      taken.emplace_back(now->first, std::move(now->second));
      s.entries.erase(now);
    }
  }
  // Oldest first; a hash map's order is not the same in every process.
  std::sort(taken.begin(), taken.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Entry> out;
  out.reserve(taken.size());
  for (auto& [ref, entry] : taken) out.push_back(std::move(entry));
  return out;
}

bool ExternalCalls::Take(Ref ref, Entry* out) {
  Shard& s = shard(ref);
  MutexLock lock(&s.mu);
  auto it = s.entries.find(ref);
  if (it == s.entries.end()) return false;
  *out = std::move(it->second);
  s.entries.erase(it);
  return true;
}

void ExternalCalls::Finish(Entry e, CallReply reply) {
  if (e.timer) rt_->timers().Cancel(e.timer);
  if (e.done) {
    e.done(ToCallResult(std::move(reply), e.target, e.timeout), e.target);
  } else if (e.down) {
    e.down(e.target,
           reply.outcome == CallReply::Outcome::kDown ? reply.reason : ExitReason::NoConnection());
  }
}

void ExternalCalls::Tell(SignalKind kind, Pid target, Ref ref) {
  auto s = std::make_unique<Signal>(kind);
  s->to = target;
  s->ref = ref;
  rt_->Enqueue(std::move(s));
}

}  // namespace banyan

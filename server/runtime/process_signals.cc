// What a process does with each signal: the rules for links, monitors and exits. The tables are
// those of OTP's signal protocol; an entry in the link table may be inactive while an unlink is
// outstanding.
#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/named_pid.h"
#include "server/runtime/process.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

// A question to a process that is ending: it is answered noproc, after the signals of the end.
bool AsksForReason(SignalKind kind) {
  return kind == SignalKind::kCall || kind == SignalKind::kSystem || kind == SignalKind::kLink ||
         kind == SignalKind::kMonitor;
}

}  // namespace

void Process::Handle(SignalPtr s) {
  if (!Alive(s->to.generation())) return HandleDead(std::move(s));
  if (pending_exit_ && AsksForReason(s->kind)) [[unlikely]]
    return AppendMessage(std::move(s));  // Die() answers
  switch (s->kind) {
    case SignalKind::kMessage:
    case SignalKind::kCast:
      return AppendMessage(std::move(s));
    case SignalKind::kCall:
    case SignalKind::kSystem:
      tables_.watchers[{s->from, s->ref}] = true;
      return AppendMessage(std::move(s));
    case SignalKind::kTimeout:
      if (tables_.timers.Erase(s->ref)) AppendMessage(std::move(s));
      return;
    case SignalKind::kReply:
      if (DeliverResponse(s)) return;
      return ResolveAlias(
          s->ref,
          {CallReply::Outcome::kReply, std::move(s->status), std::move(s->payload), {}, s->from});
    case SignalKind::kExit:
      return HandleExit(std::move(s));
    case SignalKind::kLinkExit:
      return HandleLinkExit(std::move(s));
    case SignalKind::kLink:
      // An inactive entry stays so: the other side will see our unlink after its link.
      if (!tables_.links.Find(s->from)) tables_.links[s->from] = Link{};
      return;
    case SignalKind::kUnlink:
      return HandleUnlink(*s);
    case SignalKind::kUnlinkAck:
      if (Link* link = tables_.links.Find(s->from)) {
        const bool ours = link->unlink_id == s->ref || Mutant("any-unlink-ack");
        if (link->unlink_id != 0 && ours) tables_.links.Erase(s->from);
      }
      return;
    case SignalKind::kMonitor:
      tables_.watchers[{s->from, s->ref}] = true;
      return;
    case SignalKind::kDemonitor:
      tables_.watchers.Erase({s->from, s->ref});
      return;
    case SignalKind::kCancel:
      return HandleCancel(*s);
    case SignalKind::kDown:
      return HandleDown(std::move(s));
    case SignalKind::kConnectionLost:
      HandleConnectionLost(s->from.node_id, s->from.incarnation);
      return ConfirmConnectionLost(*s);
    case SignalKind::kWake:
      if (s->payload.As<std::function<void(Process&)>>()) {
        (*s->payload.As<std::function<void(Process&)>>())(*this);
      } else if (s->ref != 0 && s->ref == wait_timer_ref_) {
        timed_out_ = true;
        wait_timer_ = 0;
      } else if (s->ref != 0 && wait_ == Wait::kBlocking && s->ref == wait_ref_) {
        blocking_done_ = true;
      }
      return;
  }
}

// The process that this was for has ended: whoever waits for something hears noproc.
void Process::HandleDead(SignalPtr s) {
  if (s->kind <= SignalKind::kSystem) queued_.fetch_sub(1, std::memory_order_relaxed);
  if (const auto* fn = s->payload.As<std::function<void(Process&)>>();
      fn && s->kind == SignalKind::kWake) {
    return (*fn)(*this);
  }
  if (s->kind == SignalKind::kConnectionLost) return ConfirmConnectionLost(*s);
  rt_->Bounce(std::move(s), ExitReason::NoProc());
}

void Process::ActOnExit(SignalPtr s) {
  if (trap_exit_) return AppendMessage(std::move(s));
  if (!s->reason.is_normal()) SetPendingExit(std::move(s->reason));
}

void Process::HandleExit(SignalPtr s) {
  if (s->reason.kind() == ExitReason::Kind::kKill) return SetPendingExit(ExitReason::Killed());
  // exit(self(), normal) is the one way in which `normal` ends a process that does not trap it.
  if (!trap_exit_ && s->reason.is_normal() && s->from == pid())
    return SetPendingExit(std::move(s->reason));
  ActOnExit(std::move(s));
}

void Process::HandleLinkExit(SignalPtr s) {
  Link* link = tables_.links.Find(s->from);
  if (!link) return;
  const bool active = link->active();
  tables_.links.Erase(s->from);
  if (!active && !Mutant("exit-after-unlink")) return;
  ResolveWatched(s->from, s->reason);
  ActOnExit(std::move(s));
}

void Process::HandleUnlink(const Signal& s) {
  Link* link = tables_.links.Find(s.from);
  if (link && link->active()) tables_.links.Erase(s.from);
  // Before any later signal of ours to that process.
  SendSignal(SignalKind::kUnlinkAck, s.from, s.ref);
}

void Process::HandleDown(SignalPtr s) {
  if (DeliverResponse(s)) return;
  if (tables_.aliases.Find(s->ref)) {
    return ResolveAlias(s->ref, {CallReply::Outcome::kDown, {}, {}, std::move(s->reason), s->from});
  }
  const Pid* target = tables_.monitors.Find(s->ref);
  if (!target) return;
  // Who monitors a name is told of the name.
  if (NameOf(*target) != nullptr) s->from = *target;
  if (const Pid* name = tables_.names.Find(s->ref)) s->from = *name;
  tables_.monitors.Erase(s->ref);
  tables_.names.Erase(s->ref);
  AppendMessage(std::move(s));
}

// A call that waits in the mailbox is found there when its turn comes, not now: a mailbox can be
// long, and all in it be given up.
void Process::HandleCancel(const Signal& s) {
  bool* watching = tables_.watchers.Find({s.from, s.ref});
  if (watching == nullptr) return;
  if (mailbox_head_ == nullptr) {
    tables_.watchers.Erase({s.from, s.ref});
    return;
  }
  *watching = false;
  has_cancelled_ = true;
}

bool Process::TakeCancelled(const Message& call) {
  if (!has_cancelled_) return false;
  if (mailbox_head_ == nullptr) has_cancelled_ = false;
  const WatcherKey key{call.from(), call.ref()};
  const bool* watching = tables_.watchers.Find(key);
  if (watching == nullptr || *watching) return false;
  tables_.watchers.Erase(key);
  return true;
}

bool Process::DeliverResponse(SignalPtr& s) {
  Alias* alias = tables_.aliases.Find(s->ref);
  if (!alias || !alias->to_mailbox) return false;
  tables_.aliases.Erase(s->ref);
  AppendMessage(std::move(s));
  return true;
}

void Process::ResolveAlias(Ref ref, CallReply reply) {
  Alias* alias = tables_.aliases.Find(ref);
  if (!alias || alias->done) {
    rt_->mutable_counters().late_replies.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  alias->done = true;
  alias->reply = std::move(reply);
}

// A linked process that an alias waits for has ended (start handshakes have no monitor of their
// own).
void Process::ResolveWatched(Pid watched, const ExitReason& reason) {
  tables_.aliases.ForEach([&](Ref, Alias& a) {
    // One that becomes a message waits for its own DOWN.
    if (a.done || a.to_mailbox || a.watched != watched) return;
    a.done = true;
    a.reply = {CallReply::Outcome::kDown, {}, {}, reason, watched};
  });
}

// Tells the router that all of this process's tables have forgotten the session: only what it links
// and monitors from here on may go over the next one.
void Process::ConfirmConnectionLost(const Signal& s) {
  auto confirm = std::make_unique<Signal>(SignalKind::kConnectionLost);
  confirm->from = s.to;
  confirm->to = s.from;
  rt_->Enqueue(std::move(confirm));
}

bool Process::HangsOn(uint32_t node_id, uint32_t incarnation) const {
  bool found = false;
  const auto look = [&](const Pid& p) {
    found |= p.node_id == node_id && p.incarnation == incarnation;
  };
  tables_.links.ForEach([&](const Pid& p, const Link&) { look(p); });
  tables_.watchers.ForEach([&](const WatcherKey& w, bool) { look(w.first); });
  tables_.monitors.ForEach([&](Ref, const Pid& p) { look(p); });
  tables_.aliases.ForEach([&](Ref, const Alias& a) {
    if (!a.done) look(a.watched);
  });
  return found;
}

void Process::HandleConnectionLost(uint32_t node_id, uint32_t incarnation) {
  auto lost = [&](const Pid& p) { return p.node_id == node_id && p.incarnation == incarnation; };
  std::vector<Pid> links;
  tables_.links.ForEach([&](const Pid& p, Link&) {
    if (lost(p)) links.push_back(p);
  });
  std::vector<WatcherKey> watchers;
  tables_.watchers.ForEach([&](const WatcherKey& w, bool) {
    if (lost(w.first)) watchers.push_back(w);
  });
  std::vector<std::pair<Ref, Pid>> monitors;
  tables_.monitors.ForEach([&](Ref ref, const Pid& p) {
    if (lost(p)) monitors.emplace_back(ref, p);
  });
  for (const WatcherKey& w : watchers) tables_.watchers.Erase(w);
  tables_.aliases.ForEach([&](Ref ref, Alias& a) {
    if (a.done || !lost(a.watched)) return;
    if (a.to_mailbox) {
      monitors.emplace_back(ref, a.watched);
      return;
    }
    a.done = true;
    a.reply = {CallReply::Outcome::kDown, {}, {}, ExitReason::NoConnection(), a.watched};
  });
  auto fire = [&](SignalKind kind, Pid from, Ref ref) {
    auto s = std::make_unique<Signal>(kind);
    s->from = from;
    s->to = pid();
    s->ref = ref;
    s->reason = ExitReason::NoConnection();
    return s;
  };
  for (const Pid& p : links) HandleLinkExit(fire(SignalKind::kLinkExit, p, 0));
  for (const auto& [ref, p] : monitors) HandleDown(fire(SignalKind::kDown, p, ref));
}

}  // namespace banyan

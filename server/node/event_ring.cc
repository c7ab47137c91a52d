#include "server/node/event_ring.h"

#include <algorithm>

#include "common/base/target.h"
#include "common/wire/exit_reason.h"
#include "common/wire/time.h"
#include "server/core/child_spec.h"

namespace banyan {
namespace {

v1::SupervisorEvent::Kind KindOf(SupervisorEvent::Kind kind) {
  using E = v1::SupervisorEvent;
  switch (kind) {
    case SupervisorEvent::Kind::kSupervisorStarted:
      return E::KIND_SUPERVISOR_STARTED;
    case SupervisorEvent::Kind::kSupervisorExited:
      return E::KIND_SUPERVISOR_EXITED;
    case SupervisorEvent::Kind::kChildStarted:
      return E::KIND_CHILD_STARTED;
    case SupervisorEvent::Kind::kChildStartFailed:
      return E::KIND_CHILD_START_FAILED;
    case SupervisorEvent::Kind::kChildExited:
      return E::KIND_CHILD_EXITED;
    case SupervisorEvent::Kind::kChildRestarted:
      return E::KIND_CHILD_RESTARTED;
    case SupervisorEvent::Kind::kChildTerminated:
      return E::KIND_CHILD_TERMINATED;
    case SupervisorEvent::Kind::kChildDeleted:
      return E::KIND_CHILD_DELETED;
    case SupervisorEvent::Kind::kIntensityExceeded:
      return E::KIND_INTENSITY_EXCEEDED;
  }
  return E::KIND_UNSPECIFIED;
}

bool HasReason(SupervisorEvent::Kind kind) {
  return kind == SupervisorEvent::Kind::kSupervisorExited ||
         kind == SupervisorEvent::Kind::kChildStartFailed ||
         kind == SupervisorEvent::Kind::kChildExited ||
         kind == SupervisorEvent::Kind::kChildTerminated ||
         kind == SupervisorEvent::Kind::kIntensityExceeded;
}

v1::ChildState StateAfter(SupervisorEvent::Kind kind) {
  switch (kind) {
    case SupervisorEvent::Kind::kChildStarted:
    case SupervisorEvent::Kind::kChildRestarted:
      return v1::CHILD_STATE_RUNNING;
    case SupervisorEvent::Kind::kIntensityExceeded:
      return v1::CHILD_STATE_FAILED;
    default:
      return v1::CHILD_STATE_STOPPED;
  }
}

}  // namespace

std::vector<std::string> QualifiedPath(std::vector<std::string> path,
                                       const wire::NodeIdentity& self, const std::string& node) {
  if (path.empty()) return path;
  const absl::StatusOr<Target::ByPid> root = ParsePid(path[0]);
  if (root.ok()) path[0] = FormatPid(wire::Export(root->pid, self), node);
  return path;
}

void EventRing::OnEvent(const SupervisorEvent& in) {
  v1::SupervisorEvent out;
  wire::NodeIdentity self;
  std::string node;
  {
    MutexLock lock(&mu_);
    self = self_;
    node = node_;
  }
  out.set_kind(KindOf(in.kind));
  if (in.supervisor) wire::ToProto(in.supervisor, self, out.mutable_supervisor());
  for (const std::string& name : QualifiedPath(in.path, self, node)) out.add_path(name);
  if (in.spec) {
    // Children of a simple_one_for_one have no ids of their own.
    const std::string id =
        in.child_id.empty() && in.pid ? FormatPid(wire::Export(in.pid, self), node) : in.child_id;
    out.add_path(id);
    v1::ChildInfo* child = out.mutable_child();
    child->set_id(id);
    if (in.pid) wire::ToProto(in.pid, self, child->mutable_pid());
    child->set_restarts(in.restarts);
    child->set_node(node);
    child->set_type(static_cast<v1::ChildType>(in.spec->type));
    child->set_module(in.spec->supervisor ? "supervisor" : in.spec->start.module);
    child->mutable_labels()->insert(in.spec->labels.begin(), in.spec->labels.end());
    child->set_state(StateAfter(in.kind));
    if (in.start_time) *child->mutable_start_time() = wire::ToProto(*in.start_time);
  }
  if (in.previous) wire::ToProto(in.previous, self, out.mutable_previous_pid());
  if (HasReason(in.kind)) wire::ToProto(in.reason, self, out.mutable_reason());
  Publish(std::move(out));
}

void EventRing::SetIdentity(wire::NodeIdentity self, std::string node) {
  MutexLock lock(&mu_);
  self_ = self;
  node_ = std::move(node);
}

void EventRing::Publish(v1::SupervisorEvent event) {
  if (!event.has_time()) *event.mutable_time() = wire::ToProto(clock_->WallNow());
  std::list<Waiter> woken;
  {
    MutexLock lock(&mu_);
    events_.push_back(std::move(event));
    if (events_.size() > max_) {
      events_.pop_front();
      ++first_;
    }
    woken.swap(waiters_);
  }
  if (woken.empty()) return;
  // One turn later, so that a burst is one answer.
  executor_->Post(
      [self = shared_from_this(), woken = std::make_shared<std::list<Waiter>>(std::move(woken))] {
        for (Waiter& w : *woken) {
          if (w.timer) self->timers_->Cancel(w.timer);
          NodeEvents events;
          {
            MutexLock lock(&self->mu_);
            events = self->Read(w.after, w.max);
          }
          w.done(std::move(events));
        }
      });
}

uint64_t EventRing::end() const {
  MutexLock lock(&mu_);
  return first_ + events_.size();
}

NodeEvents EventRing::Read(uint64_t after, size_t max) const {
  NodeEvents out;
  const uint64_t end = first_ + events_.size();
  uint64_t at = std::max(after, first_);
  out.missed = after != 0 && after < first_ ? first_ - after : 0;
  for (; at < end && out.events.size() < max; ++at) out.events.push_back(events_[at - first_]);
  out.next = at;
  return out;
}

void EventRing::Next(uint64_t after, size_t max, Instant deadline,
                     std::function<void(NodeEvents)> done) {
  NodeEvents ready;
  {
    MutexLock lock(&mu_);
    if (after >= first_ + events_.size()) {
      Waiter& w = waiters_.emplace_back(Waiter{++last_waiter_, after, max, 0, std::move(done)});
      if (!deadline.infinite()) {
        w.timer = timers_->ScheduleAt(deadline, [weak = weak_from_this(), id = w.id] {
          if (std::shared_ptr<EventRing> self = weak.lock()) self->Expire(id);
        });
      }
      return;
    }
    ready = Read(after, max);
  }
  done(std::move(ready));
}

void EventRing::Expire(uint64_t id) {
  executor_->Post([self = shared_from_this(), id] {
    std::list<Waiter> expired;
    NodeEvents nothing;
    {
      MutexLock lock(&self->mu_);
      auto it = std::find_if(self->waiters_.begin(), self->waiters_.end(),
                             [&](const Waiter& w) { return w.id == id; });
      if (it == self->waiters_.end()) return;
      expired.splice(expired.begin(), self->waiters_, it);
      nothing = self->Read(expired.front().after, expired.front().max);
    }
    expired.front().done(std::move(nothing));
  });
}

}  // namespace banyan

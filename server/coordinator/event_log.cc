#include "server/coordinator/event_log.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {
namespace {

constexpr size_t kBatchMax = 256;

}  // namespace

template <typename Event, typename Response>
std::string EventLog<Event, Response>::Token(uint64_t next) const {
  return fmt::format("{}:{}", core_->epoch, next - 1);
}

template <typename Event, typename Response>
absl::StatusOr<Coordinator::WatchId> EventLog<Event, Response>::Open(
    const std::string& token, std::optional<std::vector<Event>> snapshot, Filter filter) {
  Watch watch;
  watch.next = first_ + history_.size();
  if (!token.empty()) {
    uint64_t epoch = 0, seq = 0;
    const char* end = token.data() + token.size();
    auto [colon, bad] = std::from_chars(token.data(), end, epoch);
    const bool shaped = bad == std::errc() && colon != end && *colon == ':' &&
                        std::from_chars(colon + 1, end, seq).ec == std::errc();
    if (!shaped || epoch != core_->epoch || seq + 1 < first_ || seq + 1 > watch.next) {
      return MakeError("RESUME_TOKEN_EXPIRED",
                       "the history after this token is gone: begin with a snapshot");
    }
    watch.next = seq + 1;
  } else if (snapshot) {
    watch.in_snapshot = true;
    watch.snapshot = *std::move(snapshot);
  }
  // One that was cut may go on from where it was, however far behind that is by now.
  watch.lag_max = core_->options.watcher_lag_max + (first_ + history_.size() - watch.next);
  watch.filter = std::move(filter);
  const WatchId id = core_->NextWatchId();
  watches_[id] = std::move(watch);
  return id;
}

template <typename Event, typename Response>
void EventLog<Event, Response>::Next(WatchId id, Reply<Response> done) {
  auto it = watches_.find(id);
  if (it == watches_.end()) {
    return done(absl::CancelledError("the watch is closed"));
  }
  Watch& watch = it->second;
  if (watch.waiting) return done(absl::FailedPreconditionError("one pull at a time"));
  const uint64_t end = first_ + history_.size();
  if (watch.next < first_ || end - watch.next > watch.lag_max) {
    watches_.erase(it);
    return done(MakeError("WATCHER_TOO_SLOW",
                          "the reader fell too far behind; resume with its last token"));
  }
  watch.waiting = std::move(done);
  if (Serve(watch)) return;
  watch.timer = core_->After(core_->options.bookmark_every, [this, id] { Bookmark(id); });
}

template <typename Event, typename Response>
bool EventLog<Event, Response>::Serve(Watch& watch) {
  Response response;
  if (watch.in_snapshot) {
    for (; watch.snapshot_sent < watch.snapshot.size() &&
           static_cast<size_t>(response.events_size()) < kBatchMax;
         ++watch.snapshot_sent) {
      *response.add_events() = std::move(watch.snapshot[watch.snapshot_sent]);
    }
    if (watch.snapshot_sent == watch.snapshot.size()) {
      watch.in_snapshot = false;
      watch.snapshot.clear();
      response.set_snapshot_complete(true);
    }
  } else {
    const uint64_t end = first_ + history_.size();
    for (; watch.next < end && static_cast<size_t>(response.events_size()) < kBatchMax;
         ++watch.next) {
      const Event& event = history_[watch.next - first_];
      if (!watch.filter || watch.filter(event)) *response.add_events() = event;
    }
    if (response.events_size() == 0) return false;
  }
  response.set_resume_token(Token(watch.next));
  core_->Cancel(std::exchange(watch.timer, 0));
  auto done = std::exchange(watch.waiting, nullptr);
  // Like every effect: what it tells is in the store, unless that is full.
  core_->journal.AfterUnlessFull(
      [done = std::move(done), response = std::move(response)] { done(response); });
  return true;
}

template <typename Event, typename Response>
void EventLog<Event, Response>::Bookmark(WatchId id) {
  auto it = watches_.find(id);
  if (it == watches_.end() || !it->second.waiting) return;
  it->second.timer = 0;
  Response response;
  response.set_resume_token(Token(it->second.next));
  std::exchange(it->second.waiting, nullptr)(std::move(response));
}

template <typename Event, typename Response>
bool EventLog<Event, Response>::Close(WatchId id) {
  auto it = watches_.find(id);
  if (it == watches_.end()) return false;
  core_->Cancel(it->second.timer);
  watches_.erase(it);
  return true;
}

template <typename Event, typename Response>
void EventLog<Event, Response>::Append(Event event) {
  *event.mutable_time() = core_->wall_proto();
  history_.push_back(std::move(event));
  if (history_.size() > core_->options.events_max) {
    history_.pop_front();
    ++first_;
  }
  fresh_ = true;
}

template <typename Event, typename Response>
void EventLog<Event, Response>::Flush() {
  if (!std::exchange(fresh_, false)) return;
  for (auto& [id, watch] : watches_) {
    if (watch.waiting && !watch.in_snapshot) Serve(watch);
  }
}

template class EventLog<v1::SupervisorEvent, v1::WatchEventsResponse>;
template class EventLog<v1::ClusterEvent, v1::WatchClusterResponse>;

// ---------------------------------------------------------------------- kinds

void SupervisionEvents::AddChild(v1::SupervisorEvent::Kind kind, Child* child,
                                 const ExitReason* reason, const Pid* previous) {
  v1::SupervisorEvent event;
  event.set_kind(kind);
  for (const std::string& name : child->path) event.add_path(name);
  *event.mutable_child() = EncodeChild(*core_, *child, /*with_spec=*/false);
  if (kind == v1::SupervisorEvent::KIND_CHILD_RESTARTED) {
    // Its supervisor's planner counts the restart only when it hears of it, after this.
    const ChildRecord* record = child->supervisor->planner->Find(child->key);
    if (record != nullptr && record->restarting)
      event.mutable_child()->set_restarts(record->restarts + 1);
  }
  if (reason != nullptr) *event.mutable_reason() = wire::ToProto(*reason, {});
  if (previous != nullptr && *previous)
    *event.mutable_previous_pid() = wire::ToProto(*previous, {});
  Append(std::move(event));
}

void SupervisionEvents::AddSupervisor(v1::SupervisorEvent::Kind kind, ClusterSupervisor* sup,
                                      const ExitReason* reason) {
  v1::SupervisorEvent event;
  event.set_kind(kind);
  for (const std::string& name : sup->path) event.add_path(name);
  if (sup->parent != nullptr) *event.mutable_child() = EncodeChild(*core_, *sup->parent, false);
  if (reason != nullptr) *event.mutable_reason() = wire::ToProto(*reason, {});
  Append(std::move(event));
}

void ClusterEvents::Add(v1::ClusterEvent::Kind kind, const std::string& node) {
  v1::ClusterEvent event;
  event.set_kind(kind);
  if (const Member* member = core_->members.Find(node)) {
    *event.mutable_node() = EncodeNode(*core_, *member, /*for_view=*/false);
  }
  Append(std::move(event));
}

void ClusterEvents::AddAlarm(const std::string& message) {
  v1::ClusterEvent event;
  event.set_kind(v1::ClusterEvent::KIND_ALARM);
  event.set_message(message);
  Append(std::move(event));
}

void ClusterEvents::AddLeader() {
  v1::ClusterEvent event;
  event.set_kind(v1::ClusterEvent::KIND_COORDINATOR_CHANGED);
  event.set_coordinator_leader(core_->options.advertise_address);
  event.set_coordinator_epoch(core_->epoch);
  Append(std::move(event));
}

}  // namespace banyan

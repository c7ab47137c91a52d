#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <utility>

#include "common/wire/time.h"
#include "server/behaviours/supervisor_client.h"
#include "server/node/event_ring.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/filter.h"
#include "server/rpc/node_backend_routes.h"
#include "server/rpc/supervisor_codec.h"
#include "server/rpc/tree_walk.h"

// WatchEvents on a node: of a local supervisor from the node's own history, else the coordinator's.

namespace banyan::rpc {
namespace {

constexpr size_t kEventsAtOnce = 256;
constexpr absl::Duration kBookmarkEvery = absl::Seconds(30);

// "node-ID.INCARNATION-POSITION": good in the life of the node that gave it.
std::string TokenPrefix(const wire::NodeIdentity& self) {
  return fmt::format("node-{}.{}-", self.node_id, self.incarnation);
}

absl::StatusOr<uint64_t> ReadToken(std::string_view token, const wire::NodeIdentity& self) {
  const std::string prefix = TokenPrefix(self);
  uint64_t position = 0;
  if (token.substr(0, prefix.size()) == prefix) {
    const char* end = token.data() + token.size();
    const auto [at, error] = std::from_chars(token.data() + prefix.size(), end, position);
    if (error == std::errc() && at == end) return position;
  }
  return MakeError("RESUME_TOKEN_EXPIRED",
                   "the token is not of this life of the node: begin with a snapshot");
}

class LocalWatch : public std::enable_shared_from_this<LocalWatch> {
 public:
  LocalWatch(Runtime* runtime, Node* node, const Clock* clock, Pid supervisor,
             const v1::WatchEventsRequest& request, EventStreamPtr<v1::WatchEventsResponse> stream)
      : runtime_(runtime),
        node_(node),
        clock_(clock),
        supervisor_(supervisor),
        kinds_(request.kinds().begin(), request.kinds().end()),
        filter_(*MessageFilter::ParseLabels(request.filter(), *v1::ChildInfo::descriptor())),
        stream_(std::move(stream)) {}

  void Start(const v1::WatchEventsRequest& request) {
    stream_->SetCallbacks(nullptr, [self = shared_from_this()] { self->Pull(); });
    // First its path, which also shows whether it is a supervisor.
    SupervisorClient(supervisor_, kDefaultCallTimeout)
        .GetInfo(*runtime_,
                 [self = shared_from_this(), token = request.resume_token(),
                  snapshot = request.send_snapshot()](absl::StatusOr<SupervisorInfo> info) {
                   const wire::NodeIdentity me = self->node_->identity();
                   if (!info.ok()) return self->stream_->Close(NotASupervisor(info.status()), me);
                   self->below_ = QualifiedPath(info->path, me, self->node_->options().name);
                   self->Begin(token, snapshot);
                 });
  }

 private:
  void Begin(const std::string& token, bool snapshot) {
    if (!token.empty()) {
      absl::StatusOr<uint64_t> position = ReadToken(token, node_->identity());
      if (!position.ok()) return stream_->Close(position.status());
      position_ = *position;
      return Pull();
    }
    node_->EventsEnd([self = shared_from_this(), snapshot](uint64_t end) {
      self->position_ = end;
      snapshot ? self->Snapshot() : self->Bookmark();
    });
  }

  std::string Token() const {
    return fmt::format("{}{}", TokenPrefix(node_->identity()), position_);
  }

  void Bookmark() {
    v1::WatchEventsResponse response;
    response.set_resume_token(Token());
    stream_->Write(std::move(response));  // its drained callback pulls on
  }

  // The tree as it is, with what is under nested supervisors.
  void Snapshot() {
    const OfNode node{runtime_, node_->identity(), node_->options().name};
    WalkTree(runtime_, node, supervisor_, 0,
             [self = shared_from_this()](absl::StatusOr<v1::GetTreeResponse> tree) {
               if (!tree.ok())
                 return self->stream_->Close(NotASupervisor(tree.status()),
                                             self->node_->identity());
               v1::WatchEventsResponse response;
               std::vector<std::string> path = self->below_;
               self->AddPresent(tree->root(), &path, &response);
               response.set_resume_token(self->Token());
               response.set_snapshot_complete(true);
               self->stream_->Write(std::move(response));
             });
  }

  void AddPresent(const v1::TreeNode& at, std::vector<std::string>* path,
                  v1::WatchEventsResponse* response) const {
    for (const v1::TreeNode& below : at.children()) {
      path->push_back(below.child().id());
      v1::SupervisorEvent event;
      event.set_kind(v1::SupervisorEvent::KIND_CHILD_PRESENT);
      *event.mutable_time() = wire::ToProto(clock_->WallNow());
      *event.mutable_supervisor() = at.child().pid();
      event.mutable_path()->Assign(path->begin(), path->end());
      *event.mutable_child() = below.child();
      if (Wanted(event)) *response->add_events() = std::move(event);
      AddPresent(below, path, response);
      path->pop_back();
    }
  }

  void Pull() {
    if (stream_->closed()) return;
    node_->NextEvents(position_, kEventsAtOnce, clock_->Now() + kBookmarkEvery,
                      [self = shared_from_this()](NodeEvents got) { self->Take(std::move(got)); });
  }

  void Take(NodeEvents got) {
    if (got.missed > 0) {
      return stream_->Close(MakeError("RESUME_TOKEN_EXPIRED",
                                      fmt::format("{} events are not kept any more", got.missed)));
    }
    position_ = got.next;
    v1::WatchEventsResponse response;
    response.set_resume_token(Token());
    for (v1::SupervisorEvent& event : got.events) {
      if (Wanted(event)) *response.add_events() = std::move(event);
    }
    if (response.events_size() == 0 && !got.events.empty()) return Pull();
    stream_->Write(std::move(response));
  }

  bool Wanted(const v1::SupervisorEvent& event) const {
    const bool under = event.path_size() >= static_cast<int>(below_.size()) &&
                       std::equal(below_.begin(), below_.end(), event.path().begin());
    if (!under) return false;
    const bool kind_fits = kinds_.empty() || kinds_.contains(event.kind()) ||
                           event.kind() == v1::SupervisorEvent::KIND_CHILD_PRESENT;
    if (!kind_fits) return false;
    return filter_.empty() || !event.has_child() || filter_.Matches(event.child());
  }

  Runtime* const runtime_;
  Node* const node_;
  const Clock* const clock_;
  const Pid supervisor_;
  const std::set<int> kinds_;
  const MessageFilter filter_;
  const EventStreamPtr<v1::WatchEventsResponse> stream_;
  std::vector<std::string> below_;  // the supervisor's path
  uint64_t position_ = 0;           // one pull is under way at a time
};

}  // namespace

void NodeBackend::WatchHere(Pid supervisor, v1::WatchEventsRequest request,
                            EventStreamPtr<v1::WatchEventsResponse> stream) {
  std::make_shared<LocalWatch>(deps_.runtime, deps_.node, deps_.clock, supervisor, request, stream)
      ->Start(request);
}

void NodeBackend::WatchEvents(const CallContext& context, v1::WatchEventsRequest* request,
                              EventStreamPtr<v1::WatchEventsResponse> stream) {
  if (!request->has_supervisor()) {
    return WatchThere(context, Hop::kCoordinator, Coordinator(), std::move(*request), stream);
  }
  const v1::Target target = request->supervisor();
  const Instant deadline = std::min(context.deadline, deps_.clock->Now() + kDefaultCallTimeout);
  Locate(
      context, target, deadline,
      [this, context, stream,
       moved =
           std::make_shared<v1::WatchEventsRequest>(std::move(*request))](absl::StatusOr<Pid> pid) {
        if (!pid.ok()) return stream->Close(pid.status(), self());
        if (!pid->valid()) {
          return WatchThere(context, Hop::kCoordinator, Coordinator(), std::move(*moved), stream);
        }
        if (pid->local()) return WatchHere(*pid, std::move(*moved), stream);
        absl::StatusOr<std::string> address = AddressOf(pid->node_id, pid->incarnation);
        if (!address.ok()) return stream->Close(address.status());
        wire::ToProto(*pid, self(), moved->mutable_supervisor()->mutable_pid());
        WatchThere(context, Hop::kNode, *address, std::move(*moved), stream);
      });
}

void NodeBackend::WatchThere(const CallContext& context, Hop hop, const std::string& address,
                             v1::WatchEventsRequest request,
                             EventStreamPtr<v1::WatchEventsResponse> stream) {
  if (address.empty()) {
    return stream->Close(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  deps_.forwarder->PassStream(context, hop, address, method::kWatchEvents, std::move(request),
                              std::move(stream));
}

}  // namespace banyan::rpc

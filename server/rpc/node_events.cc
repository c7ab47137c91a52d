#include <charconv>
#include <memory>
#include <set>
#include <utility>

#include "server/behaviours/supervisor_client.h"
#include "server/rpc/filter.h"
#include "server/rpc/node_backend_routes.h"
#include "server/rpc/supervisor_codec.h"

// WatchEvents on a node: of a local supervisor from the node's own history, else the coordinator's.

namespace banyan::rpc {
namespace {

constexpr size_t kEventsAtOnce = 256;
constexpr absl::Duration kBookmarkEvery = absl::Seconds(30);

// "node-POSITION": good on the node that gave it.
std::string Token(uint64_t position) { return fmt::format("node-{}", position); }

absl::StatusOr<uint64_t> ReadToken(std::string_view token) {
  constexpr std::string_view kPrefix = "node-";
  uint64_t position = 0;
  if (token.substr(0, kPrefix.size()) == kPrefix) {
    const char* end = token.data() + token.size();
    const auto [at, error] = std::from_chars(token.data() + kPrefix.size(), end, position);
    if (error == std::errc() && at == end) return position;
  }
  return MakeFieldError("REQUEST_INVALID", {{"resume_token", "is not a token of this node"}});
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
    if (!request.resume_token().empty()) {
      absl::StatusOr<uint64_t> position = ReadToken(request.resume_token());
      if (!position.ok()) return stream_->Close(position.status());
      position_ = *position;
      return Pull();
    }
    node_->EventsEnd([self = shared_from_this(), snapshot = request.send_snapshot()](uint64_t end) {
      self->position_ = end;
      snapshot ? self->Snapshot() : self->Bookmark();
    });
  }

 private:
  void Bookmark() {
    v1::WatchEventsResponse response;
    response.set_resume_token(Token(position_));
    stream_->Write(std::move(response));  // its drained callback pulls on
  }

  void Snapshot() {
    SupervisorClient(supervisor_)
        .WhichChildren(
            *runtime_, [self = shared_from_this()](absl::StatusOr<std::vector<ChildEntry>> all) {
              if (!all.ok()) return self->stream_->Close(all.status());
              const wire::NodeIdentity me = self->node_->identity();
              v1::WatchEventsResponse response;
              response.set_resume_token(Token(self->position_));
              response.set_snapshot_complete(true);
              for (auto it = all->rbegin(); it != all->rend(); ++it) {
                v1::SupervisorEvent event;
                event.set_kind(v1::SupervisorEvent::KIND_CHILD_PRESENT);
                wire::ToProto(self->supervisor_, me, event.mutable_supervisor());
                EncodeChild(*it, me, self->node_->options().name, false, event.mutable_child());
                if (self->Wanted(event, me)) *response.add_events() = std::move(event);
              }
              self->stream_->Write(std::move(response));
            });
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
    const wire::NodeIdentity me = node_->identity();
    v1::WatchEventsResponse response;
    response.set_resume_token(Token(position_));
    for (v1::SupervisorEvent& event : got.events) {
      if (Wanted(event, me)) *response.add_events() = std::move(event);
    }
    if (response.events_size() == 0 && !got.events.empty()) return Pull();
    stream_->Write(std::move(response));
  }

  bool Wanted(const v1::SupervisorEvent& event, const wire::NodeIdentity& me) const {
    if (wire::FromProto(event.supervisor(), me) != supervisor_) return false;
    if (!kinds_.empty() && !kinds_.contains(event.kind())) return false;
    return filter_.empty() || filter_.Matches(event.child());
  }

  Runtime* const runtime_;
  Node* const node_;
  const Clock* const clock_;
  const Pid supervisor_;
  const std::set<int> kinds_;
  const MessageFilter filter_;
  const EventStreamPtr<v1::WatchEventsResponse> stream_;
  uint64_t position_ = 0;  // one pull is under way at a time
};

}  // namespace

void NodeBackend::WatchHere(Pid supervisor, v1::WatchEventsRequest request,
                            EventStreamPtr<v1::WatchEventsResponse> stream) {
  std::make_shared<LocalWatch>(deps_.runtime, deps_.node, deps_.clock, supervisor, request, stream)
      ->Start(request);
}

void NodeBackend::WatchEvents(const CallContext& context, v1::WatchEventsRequest* request,
                              EventStreamPtr<v1::WatchEventsResponse> stream) {
  if (request->has_supervisor()) {
    absl::StatusOr<Pid> pid = ResolveNow(request->supervisor());
    if (!pid.ok()) return stream->Close(pid.status());
    if (pid->valid() && pid->local())
      return WatchHere(*pid, std::move(*request), std::move(stream));
    if (pid->valid()) {
      absl::StatusOr<std::string> address = AddressOf(pid->node_id, pid->incarnation);
      if (!address.ok()) return stream->Close(address.status());
      return deps_.forwarder->PassStream(context, Hop::kNode, *address, method::kWatchEvents,
                                         std::move(*request), std::move(stream));
    }
  }
  const std::string address = Coordinator();
  if (address.empty()) {
    return stream->Close(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  deps_.forwarder->PassStream(context, Hop::kCoordinator, address, method::kWatchEvents,
                              std::move(*request), std::move(stream));
}

}  // namespace banyan::rpc

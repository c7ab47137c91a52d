#include "server/coordinator/sessions.h"

#include <algorithm>
#include <utility>

#include "common/base/error.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

class SilentHandler : public StreamHandler {
 public:
  void OnFrame(std::string) override {}
  void OnClose(absl::Status) override {}
};

}  // namespace

// ------------------------------------------------------------------- session

void Session::OnFrame(std::string bytes) {
  auto keep = core_->shared_from_this();
  core_->Run([&] {
    if (open_ && !ending_) Frame(bytes);
  });
}

void Session::OnClose(absl::Status status) {
  auto keep = core_->shared_from_this();
  core_->Run([&] { End(); });
}

void Session::Close(absl::Status status) {
  if (!open_) return;
  stream_->Close(std::move(status));
  End();
}

void Session::CloseWhenStored(absl::Status status) {
  if (std::exchange(ending_, true)) return;
  core_->journal.After([sessions = &core_->sessions, id = id_, status = std::move(status)] {
    sessions->CloseIfOpen(id, status);
  });
}

void Session::End() {
  if (!open_) return;
  open_ = false;
  Closed();
  auto entry = core_->sessions.open_.extract(id_);
  if (!entry.empty()) core_->sessions.ended_.push_back(std::move(entry.mapped()));
}

void Session::Send(const google::protobuf::MessageLite& message) {
  if (open_) stream_->Write(message.SerializeAsString());
}

void Session::BadFrame() {
  Close(MakeError("PROTOCOL_VIOLATION", "a frame that cannot be read as what this stream carries"));
}

// --------------------------------------------------------------------- lease

void LeaseSession::Frame(const std::string& bytes) {
  internal::v1::LeaseRequest beat;
  if (!beat.ParseFromString(bytes)) return BadFrame();
  core_->lease_keeper.OnHeartbeat(this, beat);
}

void LeaseSession::Closed() {
  if (member == nullptr || member->lease != this) return;
  member->lease = nullptr;
  core_->lease_keeper.OnLeaseLost(member);
}

void LeaseSession::Ack(uint64_t seq) {
  internal::v1::LeaseResponse ack;
  ack.set_seq(seq);
  ack.set_epoch(core_->epoch);
  ack.set_view_version(core_->membership.view_version());
  ack.set_store_revision(core_->deps.store->revision());
  Send(ack);
}

// ------------------------------------------------------------------- control

void ControlSession::Frame(const std::string& bytes) {
  internal::v1::ControlRequest request;
  if (!request.ParseFromString(bytes)) return BadFrame();
  core_->membership.OnControlFrame(this, request);
}

void ControlSession::Closed() {
  if (member == nullptr || member->control != this) return;
  member->control = nullptr;
  member->resynced = false;
  member->control_lost = core_->now();
  core_->membership.OnControlLost(member);
}

void ControlSession::SendCommand(internal::v1::Command command) {
  // What is still wanted when SAFE mode ends follows from the resync after it.
  if (core_->safe_mode.on()) return;
  command.set_epoch(core_->epoch);
  command.set_control_session(number);
  command.set_command_seq(++command_seq_);
  SentCommand& entry = sent[command_seq_];
  entry.path.assign(command.path().begin(), command.path().end());
  entry.fence = command.fence();
  entry.start = command.has_start();
  internal::v1::ControlResponse response;
  *response.mutable_command() = std::move(command);
  response.set_must_understand(true);
  Send(response);
}

void ControlSession::SendHelloAck(const internal::v1::HelloAck& ack) {
  internal::v1::ControlResponse response;
  *response.mutable_hello_ack() = ack;
  Send(response);
  greeted = true;
}

void ControlSession::SendReportAck(uint64_t up_to) {
  internal::v1::ControlResponse response;
  response.mutable_report_ack()->set_up_to(up_to);
  Send(response);
}

void ControlSession::AckReports(uint64_t up_to) {
  ack_due_ = std::max(ack_due_, up_to);
  core_->sessions.acks_due_.insert(id());
}

void ControlSession::SendNameReply(const internal::v1::NameReply& reply) {
  internal::v1::ControlResponse response;
  *response.mutable_name_reply() = reply;
  Send(response);
}

void ControlSession::SendView(const internal::v1::ViewUpdate& view) {
  internal::v1::ControlResponse response;
  *response.mutable_view() = view;
  Send(response);
}

void ControlSession::SendRoutes(const internal::v1::RouteUpdate& routes) {
  internal::v1::ControlResponse response;
  *response.mutable_routes() = routes;
  Send(response);
}

void ControlSession::SendGroups(const internal::v1::GroupDelta& delta) {
  internal::v1::ControlResponse response;
  *response.mutable_group_delta() = delta;
  Send(response);
}

void ControlSession::SendRelayOffer(const internal::v1::RelayOffer& offer) {
  internal::v1::ControlResponse response;
  *response.mutable_relay_offer() = offer;
  Send(response);
}

// ------------------------------------------------------------------- watcher

void WatcherSession::Frame(const std::string& bytes) {
  internal::v1::WatcherRequest request;
  if (!request.ParseFromString(bytes)) return BadFrame();
  core_->membership.OnWatcherFrame(this, request);
}

void WatcherSession::Closed() {
  if (member == nullptr || member->watcher != this) return;
  member->watcher = nullptr;
  core_->membership.Changed(member);
}

void WatcherSession::SendRecorded() {
  internal::v1::WatcherResponse response;
  response.set_recorded(true);
  Send(response);
}

// ------------------------------------------------------------------ sessions

template <typename T>
void Sessions::Accept(StreamKind kind) {
  core_->deps.transport->Listen(
      kind, [core = core_->weak_from_this()](std::unique_ptr<Stream> stream) -> StreamHandler* {
        // The acceptor may outlive the coordinator; a stream that comes then finds nobody.
        static StreamHandler* const kNobody = new SilentHandler;
        auto self = core.lock();
        if (self == nullptr) return kNobody;
        Sessions& sessions = self->sessions;
        auto session = std::make_unique<T>(self.get(), std::move(stream));
        Session* handler = session.get();
        handler->id_ = ++sessions.last_id_;
        sessions.open_[sessions.last_id_] = std::move(session);
        return handler;
      });
}

void Sessions::Listen() {
  Accept<LeaseSession>(StreamKind::kLease);
  Accept<ControlSession>(StreamKind::kControl);
  Accept<WatcherSession>(StreamKind::kWatcher);
}

void Sessions::ForEachControl(const std::function<void(ControlSession*)>& fn) {
  for (const auto& [name, member] : core_->members.all()) {
    if (member->control != nullptr && member->control->greeted) fn(member->control);
  }
}

void Sessions::SendAcks() {
  for (uint64_t id : std::exchange(acks_due_, {})) {
    auto* session = static_cast<ControlSession*>(Find(id));
    if (session != nullptr) session->SendReportAck(session->ack_due_);
  }
}

Session* Sessions::Find(uint64_t id) const {
  auto it = open_.find(id);
  return it == open_.end() ? nullptr : it->second.get();
}

void Sessions::CloseIfOpen(uint64_t id, const absl::Status& status) {
  if (Session* session = Find(id)) session->Close(status);
}

void Sessions::CloseAll(const absl::Status& status) {
  std::vector<Session*> all;
  for (const auto& [id, session] : open_) all.push_back(session.get());
  for (Session* session : all) session->Close(status);
}

}  // namespace banyan

#include "server/node/control_client.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/wire/status.h"
#include "common/wire/time.h"
#include "server/node/node_core.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

// Of that many commands that were taken one is answered: for all before it, so that the coordinator
// need not remember more.
constexpr uint64_t kResultsEvery = 64;

// Hello refused for a reason that trying again soon will not change.
bool IsRefusal(const std::string& reason) {
  return reason == "WRONG_CLUSTER" || reason == "NAME_IN_USE" || reason == "FEATURE_LEVEL" ||
         reason == "HELLO_INVALID";
}

std::string LeaderHint(const absl::Status& status) {
  std::optional<ErrorInfo> info = GetErrorInfo(status);
  if (!info || info->reason != "NOT_LEADER") return "";
  auto it = info->metadata.find("leader");
  return it == info->metadata.end() ? "" : it->second;
}

absl::StatusOr<LeaseTimes> ReadTimes(const pb::LeaseTimes& in) {
  LeaseTimes out;
  out.heartbeat = wire::FromProto(in.heartbeat());
  out.freeze = wire::FromProto(in.freeze());
  out.node = wire::FromProto(in.node());
  out.coordinator = wire::FromProto(in.coordinator());
  const bool ordered = absl::ZeroDuration() < out.heartbeat && out.heartbeat < out.freeze &&
                       out.freeze < out.node && out.node < out.coordinator;
  if (!ordered)
    return absl::InvalidArgumentError(
        "lease times that are not heartbeat < freeze < node < coordinator");
  return out;
}

}  // namespace

ControlClient::ControlClient(Node::Core* node)
    : node_(node),
      redial_(node->options.redial_min, node->options.redial_max, node->deps.random),
      stream_(node->deps.transport, node->deps.executor),
      timer_(node->deps.timers, node->deps.executor) {
  redial_.SetAddresses(node->options.coordinators);
}

void ControlClient::Start() {
  if (state_ == State::kOff && !redial_.empty()) Dial();
}

void ControlClient::Stop() {
  state_ = State::kOff;
  timer_.Cancel();
  stream_.Close();
}

void ControlClient::Leave(std::function<void(bool recorded)> done) {
  left_ = std::move(done);
  if (!up()) return Left(false);
  pb::ControlRequest request;
  request.mutable_leave()->set_reason("the node stops");
  Send(request);
  state_ = State::kLeaving;
  timer_.Set(node_->deps.clock->Now() + node_->options.hello_timeout, [this] { Left(false); });
}

void ControlClient::Left(bool recorded) {
  Stop();
  if (auto left = std::exchange(left_, nullptr)) left(recorded);
}

void ControlClient::Restart() {
  if (state_ == State::kOff || leaving()) return;
  stream_.Abort();
  Lost(absl::AbortedError("begun anew"));
}

void ControlClient::Dial() {
  state_ = State::kDialling;
  stream_.Dial(
      redial_.current(), StreamKind::kControl,
      [this](std::string bytes) { OnFrame(std::move(bytes)); },
      [this](const absl::Status& status) {
        if (state_ != State::kOff) Lost(status);
      });
  timer_.Set(node_->deps.clock->Now() + node_->options.hello_timeout, [this] {
    stream_.Abort();
    Lost(absl::DeadlineExceededError("the coordinator did not answer"));
  });
  SendHello();
}

void ControlClient::SendHello() {
  const NodeOptions& o = node_->options;
  pb::ControlRequest request;
  pb::Hello* hello = request.mutable_hello();
  hello->set_cluster_name(o.cluster_name);
  hello->set_cluster_id(node_->cluster_id);
  hello->set_store_id(node_->store_id);
  hello->set_store_revision(node_->store_revision);
  hello->set_name(o.name);
  hello->set_node_id(node_->identity().node_id);
  hello->set_incarnation(node_->identity().incarnation);
  hello->set_epoch_seen(node_->lease.epoch());
  hello->set_process_id(o.process_id);
  hello->set_machine_id(o.machine_id);
  hello->set_boot_id(o.boot_id);
  hello->set_state_lock(o.state_lock);
  hello->set_start_number(o.start_number);
  hello->set_has_watcher(o.has_watcher);
  hello->set_address(o.address);
  hello->mutable_labels()->insert(o.labels.begin(), o.labels.end());
  hello->mutable_capacity()->insert(o.capacity.begin(), o.capacity.end());
  for (v1::ModuleInfo& m : node_->Modules()) *hello->add_modules() = std::move(m);
  hello->mutable_protocol()->set_major(kProtocolMajor);
  hello->mutable_protocol()->set_minor(o.feature_level);
  hello->mutable_protocol()->set_features(FeaturesOfLevel(o.feature_level));
  hello->set_running(node_->children.children().size());
  if (o.last_crash) *hello->mutable_last_crash() = *o.last_crash;
  hello->set_version(o.version);
  stream_.Write(request.SerializeAsString());
}

void ControlClient::Send(const pb::ControlRequest& request) {
  if (up()) stream_.Write(request.SerializeAsString());
}

void ControlClient::OnFrame(std::string bytes) {
  if (state_ != State::kDialling && state_ != State::kUp) return;
  pb::ControlResponse response;
  if (!response.ParseFromString(bytes)) return Protocol("bytes that are no frame");
  if (response.has_hello_ack()) {
    if (state_ == State::kUp) return Protocol("a second hello_ack");
    return OnHelloAck(response.hello_ack());
  }
  if (!up()) return Protocol("a frame before hello_ack");
  switch (response.frame_case()) {
    case pb::ControlResponse::kCommand: {
      const pb::Command& command = response.command();
      pb::ControlRequest result;
      result.mutable_command_result()->set_command_seq(command.command_seq());
      absl::Status status;
      const bool today = command.epoch() == epoch_ && command.control_session() == session_;
      if (!today && !Mutant("no-command-session-check")) {
        status =
            MakeError("NOT_LEADER",
                      fmt::format("a command of session {}/{}; the present one is {}/{}",
                                  command.epoch(), command.control_session(), epoch_, session_));
      } else if (command.has_set_drain()) {
        node_->OnDrain(command.set_drain());
      } else {
        status = node_->children.OnCommand(command);
      }
      // What comes of those that were taken comes as reports.
      if (status.ok() && command.command_seq() % kResultsEvery != 0) return;
      if (!status.ok())
        wire::ToProto(status, node_->identity(), result.mutable_command_result()->mutable_error());
      return Send(result);
    }
    case pb::ControlResponse::kReportAck:
      return node_->reports.Ack(response.report_ack().up_to());
    case pb::ControlResponse::kNameReply:
      return node_->names.OnReply(response.name_reply());
    case pb::ControlResponse::kView:
      return node_->OnView(response.view());
    case pb::ControlResponse::kRoutes:
      return node_->OnRoutes(response.routes());
    case pb::ControlResponse::kGroupDelta:
      return node_->groups.OnDelta(response.group_delta());
    case pb::ControlResponse::kRelayOffer: {
      const pb::RelayOffer& offer = response.relay_offer();
      return node_->router.OnRelayOffer(offer.relay_id(),
                                        {offer.from_node_id(), offer.from_incarnation()});
    }
    case pb::ControlResponse::kHelloAck:
    case pb::ControlResponse::FRAME_NOT_SET:
      break;
  }
  if (response.must_understand()) Protocol("a frame of a later protocol");
}

void ControlClient::OnHelloAck(const pb::HelloAck& ack) {
  // L5: a leader of the past must not command us.
  if (ack.epoch() < node_->lease.epoch() && !Mutant("no-epoch-gate"))
    return Protocol("an epoch that is over");
  if (ack.node_id() == 0 || ack.incarnation() == 0)
    return Protocol("a hello_ack without an identity");
  absl::StatusOr<LeaseTimes> times = ReadTimes(ack.times());
  if (!times.ok()) return Protocol(std::string(times.status().message()));
  state_ = State::kUp;
  timer_.Cancel();
  redial_.Succeeded();
  epoch_ = ack.epoch();
  session_ = ack.control_session();
  features_ = ack.protocol().features();
  node_->lease.AcceptEpoch(epoch_);
  // What the coordinator tells comes first; what the operator gave stays known.
  std::vector<std::string> all(ack.coordinators().begin(), ack.coordinators().end());
  for (const std::string& a : node_->options.coordinators) {
    if (std::find(all.begin(), all.end(), a) == all.end()) all.push_back(a);
  }
  const std::string current = redial_.current();
  if (std::find(all.begin(), all.end(), current) == all.end()) all.push_back(current);
  redial_.SetAddresses(all);
  node_->SetCoordinators(redial_.addresses());
  const bool new_life = node_->identity() != wire::NodeIdentity{ack.node_id(), ack.incarnation()};
  node_->OnWelcome(ack);
  node_->lease.Begin(*times, new_life);
  node_->SendResync();
  node_->SendRetire();
  node_->groups.OnSession();
}

void ControlClient::Protocol(const std::string& what) {
  stream_.Abort();
  Lost(absl::InvalidArgumentError(what));
}

void ControlClient::Lost(const absl::Status& why) {
  // A life that is over otherwise needs no leave any more.
  if (leaving()) return Left(why.ok() || ErrorReason(why) == "DEAD");
  const bool was_up = up();
  state_ = State::kWaiting;
  if (was_up) node_->OnSessionLost();
  const std::string reason = ErrorReason(why);
  if (reason == "DEAD") {
    state_ = State::kOff;
    timer_.Cancel();
    return node_->OnDead();
  }
  if (IsRefusal(reason)) {
    if (node_->hooks.refused) node_->hooks.refused(why);
    redial_.Failed();
    return RedialLater(node_->options.redial_max);
  }
  redial_.Prefer(LeaderHint(why));
  RedialLater(redial_.Failed());
}

void ControlClient::RedialLater(absl::Duration pause) {
  timer_.Set(node_->deps.clock->Now() + pause, [this] { Dial(); });
}

}  // namespace banyan

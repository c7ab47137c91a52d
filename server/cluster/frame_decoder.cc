#include "server/cluster/frame_decoder.h"

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "common/wire/status.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

absl::StatusOr<std::string> StringAt(const FrameDecoder::Strings& strings, uint32_t index) {
  if (index == 0) return std::string();
  if (index > static_cast<uint32_t>(strings.size())) {
    return absl::InvalidArgumentError(fmt::format("string {} of {}", index, strings.size()));
  }
  return strings.Get(static_cast<int>(index - 1));
}

absl::StatusOr<Payload> ReadData(pb::Data& data, const FrameDecoder::Strings& strings) {
  BANYAN_ASSIGN_OR_RETURN(std::string type_url, StringAt(strings, data.type_url()));
  if (type_url.empty() && data.value().empty() && data.headers().empty()) return Payload();
  std::map<std::string, std::string> headers(data.headers().begin(), data.headers().end());
  return Payload::Any(std::move(type_url), std::move(*data.mutable_value()), std::move(headers));
}

absl::StatusOr<Payload> ReadRpc(pb::Rpc& rpc, const FrameDecoder::Strings& strings) {
  v1::RpcRequest request;
  BANYAN_ASSIGN_OR_RETURN(std::string method, StringAt(strings, rpc.method()));
  request.set_method(std::move(method));
  request.set_message(std::move(*rpc.mutable_message()));
  request.mutable_metadata()->swap(*rpc.mutable_metadata());
  return wire::MakePayload(std::move(request));
}

}  // namespace

SignalPtr FrameDecoder::NewSignal(SignalKind kind, const pb::Frame& frame) const {
  auto s = std::make_unique<Signal>(kind);
  s->from = Pid{peer_.node_id, peer_.incarnation, frame.src()};
  s->to = Pid{0, 0, frame.dst()};
  return s;
}

absl::Status FrameDecoder::ResolveName(const Strings& strings, pb::Frame* frame, bool* found) {
  *found = true;
  if (frame->dst() != 0 || frame->dst_name() == 0) return absl::OkStatus();
  BANYAN_ASSIGN_OR_RETURN(std::string name, StringAt(strings, frame->dst_name()));
  const std::optional<uint64_t> dst = FindWatched(*frame, name);
  *found = dst.has_value();
  if (dst) frame->set_dst(*dst);
  return absl::OkStatus();
}

std::optional<uint64_t> FrameDecoder::FindWatched(const pb::Frame& frame, const std::string& name) {
  const auto had = [&](uint64_t ref) -> std::optional<uint64_t> {
    auto watched = watched_by_name_.extract(Watch(frame.src(), ref));
    if (watched.empty()) return std::nullopt;
    return watched.mapped();
  };
  if (frame.has_demonitor()) return had(frame.demonitor().ref());
  if (frame.has_cancel()) return had(frame.cancel().alias());
  const std::optional<Pid> pid = runtime_->Whereis(name);
  if (!pid) return std::nullopt;
  return pid->id;
}

void FrameDecoder::OnSend(const Signal& signal) {
  if (watched_by_name_.empty()) return;
  if (signal.kind == SignalKind::kReply || signal.kind == SignalKind::kDown)
    watched_by_name_.erase(Watch(signal.to.id, signal.ref));
}

void FrameDecoder::AnswerDown(const pb::Frame& frame, uint64_t ref, Inbound* out) const {
  pb::Frame& down = out->answers.emplace_back();
  down.set_src(frame.dst());
  down.set_dst(frame.src());
  down.mutable_down()->set_ref(ref);
  wire::ToProto(ExitReason::NoProc(), self_, down.mutable_down()->mutable_reason());
}

absl::Status FrameDecoder::DecodeMessage(pb::Frame& frame, const Strings& strings, Inbound* out) {
  pb::MessageFrame& m = *frame.mutable_message();
  absl::StatusOr<Payload> payload =
      m.has_rpc() ? ReadRpc(*m.mutable_rpc(), strings) : ReadData(*m.mutable_data(), strings);
  BANYAN_RETURN_IF_ERROR(payload.status());
  if (frame.dst() == 0) return absl::OkStatus();  // a name that nobody has: to nobody
  SignalPtr s = NewSignal(m.cast() ? SignalKind::kCast : SignalKind::kMessage, frame);
  s->payload = *std::move(payload);
  out->signals.push_back(std::move(s));
  if (m.ack_alias() != 0) {
    pb::Frame& ack = out->answers.emplace_back();
    ack.set_src(frame.dst());
    ack.set_dst(frame.src());
    ack.mutable_reply()->set_alias(m.ack_alias());
    ack.mutable_reply()->mutable_data();
  }
  return absl::OkStatus();
}

absl::Status FrameDecoder::DecodeCall(pb::Frame& frame, const Strings& strings, Instant now,
                                      Inbound* out) {
  pb::CallFrame& call = *frame.mutable_call();
  absl::StatusOr<Payload> payload = call.has_rpc() ? ReadRpc(*call.mutable_rpc(), strings)
                                                   : ReadData(*call.mutable_data(), strings);
  BANYAN_RETURN_IF_ERROR(payload.status());
  const Pid to{0, 0, frame.dst()};
  const uint64_t version = call.reg_version();
  const bool by_name = frame.dst_name() != 0 || version != 0;
  const bool moved = version != 0 && holds_ && !holds_(to, version);
  if (by_name && (!to.valid() || !runtime_->IsAlive(to) || moved)) {
    pb::Frame& stale = out->answers.emplace_back();
    stale.set_src(frame.dst());
    stale.set_dst(frame.src());
    stale.mutable_stale_route()->set_alias(call.alias());
    return absl::OkStatus();
  }
  if (!to.valid()) {
    AnswerDown(frame, call.alias(), out);
    return absl::OkStatus();
  }
  SignalPtr s = NewSignal(SignalKind::kCall, frame);
  s->ref = call.alias();
  if (frame.dst_name() != 0) watched_by_name_[{frame.src(), call.alias()}] = frame.dst();
  s->payload = *std::move(payload);
  if (call.budget_ms() != 0) s->deadline = now + absl::Milliseconds(call.budget_ms());
  out->signals.push_back(std::move(s));
  return absl::OkStatus();
}

absl::Status FrameDecoder::DecodeReply(pb::Frame& frame, const Strings& strings, Inbound* out) {
  pb::ReplyFrame& reply = *frame.mutable_reply();
  SignalPtr s = NewSignal(SignalKind::kReply, frame);
  s->ref = reply.alias();
  switch (reply.result_case()) {
    case pb::ReplyFrame::kActorError:
      s->status = MarkAnswered(wire::FromProto(reply.actor_error(), self_));
      break;
    case pb::ReplyFrame::kNodeError:
      s->status = wire::FromProto(reply.node_error(), self_);
      break;
    case pb::ReplyFrame::kRpcResponse:
      s->payload = Payload::Any({}, std::move(*reply.mutable_rpc_response()));
      break;
    case pb::ReplyFrame::kData: {
      BANYAN_ASSIGN_OR_RETURN(s->payload, ReadData(*reply.mutable_data(), strings));
      break;
    }
    case pb::ReplyFrame::RESULT_NOT_SET:
      break;  // an empty reply
  }
  const bool error = reply.has_actor_error() || reply.has_node_error();
  if (error && s->status.ok())
    s->status = absl::UnknownError("the peer sent an error without a code");
  out->signals.push_back(std::move(s));
  return absl::OkStatus();
}

void FrameDecoder::DecodeExit(pb::Frame& frame, Inbound* out) {
  const pb::ExitFrame& exit = frame.exit();
  const SignalKind kind = exit.direct() ? SignalKind::kExit : SignalKind::kLinkExit;
  const ExitReason reason = wire::FromProto(exit.reason(), self_);
  auto add = [&](uint64_t dst) {
    if (dst == 0) return;
    SignalPtr s = NewSignal(kind, frame);
    s->to.id = dst;
    s->reason = reason;
    out->signals.push_back(std::move(s));
  };
  add(frame.dst());
  for (uint64_t dst : exit.more_dst()) add(dst);
}

void FrameDecoder::DecodeStaleRoute(pb::Frame& frame, Inbound* out) {
  const pb::StaleRouteFrame& stale = frame.stale_route();
  out->stale_route = true;
  out->stale_pid = Pid{peer_.node_id, peer_.incarnation, frame.src()};
  out->stale_reg_version = stale.reg_version();
  SignalPtr s = NewSignal(SignalKind::kReply, frame);
  s->ref = stale.alias();
  const std::string target = FormatPid(out->stale_pid);
  s->status =
      MakeError("NOPROC",
                out->stale_pid.valid()
                    ? fmt::format("{} is not there, or not under that name, any more", target)
                    : fmt::format("no process of node {} has that name", peer_.node_id),
                {{"target", target}});
  out->signals.push_back(std::move(s));
}

absl::Status FrameDecoder::Decode(pb::Frame frame, const Strings& strings, Instant now,
                                  Inbound* out) {
  bool found = true;
  BANYAN_RETURN_IF_ERROR(ResolveName(strings, &frame, &found));
  auto simple = [&](SignalKind kind, Ref ref) {
    if (frame.dst() == 0 && kind != SignalKind::kDown) return;  // meant for a process
    SignalPtr s = NewSignal(kind, frame);
    s->ref = ref;
    out->signals.push_back(std::move(s));
  };
  switch (frame.body_case()) {
    case pb::Frame::kMessage:
      return DecodeMessage(frame, strings, out);
    case pb::Frame::kCall:
      return DecodeCall(frame, strings, now, out);
    case pb::Frame::kReply:
      return DecodeReply(frame, strings, out);
    case pb::Frame::kExit:
      DecodeExit(frame, out);
      return absl::OkStatus();
    case pb::Frame::kLink:
      simple(SignalKind::kLink, 0);
      return absl::OkStatus();
    case pb::Frame::kUnlink:
      simple(SignalKind::kUnlink, frame.unlink().unlink_id());
      return absl::OkStatus();
    case pb::Frame::kUnlinkAck:
      simple(SignalKind::kUnlinkAck, frame.unlink_ack().unlink_id());
      return absl::OkStatus();
    case pb::Frame::kMonitor:
      if (frame.dst() == 0) {
        AnswerDown(frame, frame.monitor().ref(), out);
      } else {
        simple(SignalKind::kMonitor, frame.monitor().ref());
        if (frame.dst_name() != 0)
          watched_by_name_[{frame.src(), frame.monitor().ref()}] = frame.dst();
      }
      return absl::OkStatus();
    case pb::Frame::kDemonitor:
      simple(SignalKind::kDemonitor, frame.demonitor().ref());
      return absl::OkStatus();
    case pb::Frame::kCancel:
      simple(SignalKind::kCancel, frame.cancel().alias());
      return absl::OkStatus();
    case pb::Frame::kDown:
      simple(SignalKind::kDown, frame.down().ref());
      out->signals.back()->reason = wire::FromProto(frame.down().reason(), self_);
      return absl::OkStatus();
    case pb::Frame::kStaleRoute:
      DecodeStaleRoute(frame, out);
      return absl::OkStatus();
    case pb::Frame::kSpawn: {
      // Children of others are started by the coordinator's commands; nothing of ours sends this.
      pb::Frame& no = out->answers.emplace_back();
      no.set_dst(frame.src());
      no.mutable_spawn_reply()->set_alias(frame.spawn().alias());
      wire::ToProto(ExitReason::Error("notsup", "this node starts no processes for peers"), self_,
                    no.mutable_spawn_reply()->mutable_failed());
      return absl::OkStatus();
    }
    case pb::Frame::kSpawnReply:
    case pb::Frame::kCredit:
    case pb::Frame::kPing:
      return absl::OkStatus();  // nothing waits for them; that they came is what counts
    case pb::Frame::BODY_NOT_SET:
      if (!frame.must_understand()) return absl::OkStatus();
      return absl::InvalidArgumentError("a frame of an unknown kind that must be understood");
    case pb::Frame::kFragment:
    case pb::Frame::kHello:
    case pb::Frame::kHelloAck:
    case pb::Frame::kClose:
      break;
  }
  return absl::InvalidArgumentError("a handshake frame or a fragment where a signal was due");
}

}  // namespace banyan

#include "server/cluster/frame_encoder.h"

#include <algorithm>
#include <limits>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/named_pid.h"
#include "common/wire/exit_reason.h"
#include "common/wire/status.h"
#include "common/wire/utf8.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

absl::Status LocalPayload(std::map<std::string, std::string> metadata = {}) {
  return MakeError(
      "PAYLOAD_INVALID",
      "the payload is a C++ value of its process and cannot be sent to another node; send a "
      "protobuf message",
      std::move(metadata));
}

}  // namespace

uint32_t FrameEncoder::Intern(const std::string& s) {
  auto [it, added] = strings_.try_emplace(s, static_cast<uint32_t>(batch_->strings_size() + 1));
  if (added) batch_->add_strings(wire::Utf8(s));
  return it->second;
}

absl::Status FrameEncoder::FillData(const Payload& payload, pb::Data* out) {
  if (payload.empty()) return absl::OkStatus();
  if (payload.is_local()) return LocalPayload();
  if (!payload.type_url().empty()) out->set_type_url(Intern(payload.type_url()));
  out->set_value(payload.bytes());
  for (const auto& [key, value] : payload.headers()) {
    (*out->mutable_headers())[wire::Utf8(key)] = wire::Utf8(value);
  }
  return absl::OkStatus();
}

absl::Status FrameEncoder::FillCall(const Signal& s, pb::CallFrame* out) {
  out->set_alias(s.ref);
  if (!s.deadline.infinite()) {
    const absl::Duration left = s.deadline - now_;
    if (left <= absl::ZeroDuration()) {
      return MakeError("CALL_EXPIRED", "the call's time was over before it could be sent");
    }
    // At least 1: 0 means no limit.
    const int64_t ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(left));
    out->set_budget_ms(
        static_cast<uint32_t>(std::min<int64_t>(ms, std::numeric_limits<uint32_t>::max())));
  }
  out->set_reg_version(s.reg_version);
  return FillData(s.payload, out->mutable_data());
}

absl::Status FrameEncoder::FillReply(const Signal& s, pb::ReplyFrame* out) {
  out->set_alias(s.ref);
  absl::Status status = s.status;
  if (status.ok()) {
    if (!s.payload.is_local()) return FillData(s.payload, out->mutable_data());
    // The caller must not wait for a reply that cannot travel; that the request ran it must know.
    status = LocalPayload({{"outcome", std::string(kOutcomeUnknown)}});
  }
  wire::ToProto(status, self_,
                IsAnswered(status) ? out->mutable_actor_error() : out->mutable_node_error());
  return absl::OkStatus();
}

absl::Status FrameEncoder::Fill(const Signal& s, pb::Frame* out) {
  // A sender that is not of this node cannot be named in a frame: it becomes the node itself.
  out->set_src(s.from.local() ? s.from.id : 0);
  if (const auto name = NameOf(s.to)) {
    out->set_dst_name(Intern(*name));
  } else {
    out->set_dst(s.to.id);
  }
  switch (s.kind) {
    case SignalKind::kMessage:
    case SignalKind::kCast:
      out->mutable_message()->set_cast(s.kind == SignalKind::kCast);
      return FillData(s.payload, out->mutable_message()->mutable_data());
    case SignalKind::kCall:
      return FillCall(s, out->mutable_call());
    case SignalKind::kReply:
      return FillReply(s, out->mutable_reply());
    case SignalKind::kExit:
    case SignalKind::kLinkExit:
      wire::ToProto(s.reason, self_, out->mutable_exit()->mutable_reason());
      out->mutable_exit()->set_direct(s.kind == SignalKind::kExit);
      return absl::OkStatus();
    case SignalKind::kLink:
      out->mutable_link();
      return absl::OkStatus();
    case SignalKind::kUnlink:
      out->mutable_unlink()->set_unlink_id(s.ref);
      return absl::OkStatus();
    case SignalKind::kUnlinkAck:
      out->mutable_unlink_ack()->set_unlink_id(s.ref);
      return absl::OkStatus();
    case SignalKind::kMonitor:
      out->mutable_monitor()->set_ref(s.ref);
      return absl::OkStatus();
    case SignalKind::kDemonitor:
      out->mutable_demonitor()->set_ref(s.ref);
      return absl::OkStatus();
    case SignalKind::kCancel:
      out->mutable_cancel()->set_alias(s.ref);
      return absl::OkStatus();
    case SignalKind::kDown:
      out->mutable_down()->set_ref(s.ref);
      wire::ToProto(s.reason, self_, out->mutable_down()->mutable_reason());
      return absl::OkStatus();
    case SignalKind::kSystem:
      return MakeError(
          "CALL_NOT_HANDLED",
          "system requests do not travel between nodes; ask the node that hosts the process");
    case SignalKind::kTimeout:
    case SignalKind::kConnectionLost:
    case SignalKind::kWake:
      break;
  }
  return MakeError("CALL_NOT_HANDLED", "the signal is for its own runtime only");
}

absl::Status FrameEncoder::Add(const Signal& signal) {
  absl::Status status = Fill(signal, batch_->add_frames());
  if (!status.ok()) batch_->mutable_frames()->RemoveLast();
  return status;
}

void FrameEncoder::AddExitTarget(uint64_t dst) {
  BANYAN_CHECK(batch_->frames_size() > 0 && batch_->frames(batch_->frames_size() - 1).has_exit());
  batch_->mutable_frames(batch_->frames_size() - 1)->mutable_exit()->add_more_dst(dst);
}

}  // namespace banyan

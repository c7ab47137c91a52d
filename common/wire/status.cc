#include "common/wire/status.h"

#include <algorithm>
#include <optional>

#include "absl/strings/cord.h"
#include "fmt/format.h"
#include "google/rpc/error_details.pb.h"

#include "banyan/v1/types.pb.h"
#include "common/base/target.h"
#include "common/wire/exit_reason.h"
#include "common/wire/time.h"
#include "common/wire/utf8.h"

namespace banyan::wire {
namespace {

constexpr std::string_view kDetailPrefix = "type.googleapis.com/";
constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
// gRPC's default limit for all metadata of a call is 8 KiB; base64 takes a third more.
constexpr size_t kDetailBytesMax = 4 * 1024;
constexpr size_t kMessageBytesMax = 1024;
constexpr int kFieldsMax = 1000;

std::string_view View(absl::string_view s) { return {s.data(), s.size()}; }
absl::string_view AbslView(std::string_view s) { return {s.data(), s.size()}; }

// ---- out

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// `text` where it stands alone in the message, not as a part of a longer pid.
void ReplacePid(const std::string& text, const std::string& by, std::string* message) {
  for (size_t at = message->find(text); at != std::string::npos; at = message->find(text, at)) {
    const std::string_view rest = std::string_view(*message).substr(at + text.size());
    const bool longer = (!rest.empty() && IsDigit(rest[0])) ||
                        (rest.size() > 1 && rest[0] == '.' && IsDigit(rest[1])) ||
                        (at > 0 && (IsDigit((*message)[at - 1]) || (*message)[at - 1] == ':'));
    if (longer) {
      at += text.size();
      continue;
    }
    message->replace(at, text.size(), by);
    at += by.size();
  }
}

// Pids of this node in the variables of the text, and so in the text itself, get the node's own ids
// as every pid does that leaves the node.
void QualifyPids(const NodeIdentity& self, ErrorInfo* info, std::string* message) {
  if (self.node_id == 0) return;
  for (auto& [key, value] : info->metadata) {
    if (key != "target" && key != "pid") continue;
    const absl::StatusOr<Target::ByPid> by = ParsePid(value);
    if (!by.ok() || !by->node.empty() || !by->pid.local()) continue;
    const std::string qualified = FormatPid(Export(by->pid, self));
    ReplacePid(value, qualified, message);
    value = qualified;
  }
}

void AddInfo(const ErrorInfo& info, const NodeIdentity& self, google::rpc::Status* out) {
  if (!info.reason.empty()) {
    google::rpc::ErrorInfo error;
    error.set_reason(info.reason);
    error.set_domain(kDomain);
    for (const auto& [key, value] : info.metadata) {
      (*error.mutable_metadata())[Utf8(key)] = Utf8(value, kMessageBytesMax);
    }
    out->add_details()->PackFrom(error);
  }
  if (!info.fields.empty()) {
    google::rpc::BadRequest bad;
    for (const ErrorInfo::FieldViolation& field : info.fields) {
      if (bad.field_violations_size() >= kFieldsMax) break;
      auto* violation = bad.add_field_violations();
      violation->set_field(Utf8(field.field, kMessageBytesMax));
      violation->set_description(Utf8(field.description, kMessageBytesMax));
    }
    out->add_details()->PackFrom(bad);
  }
  if (info.retry_after_ms > 0) {
    google::rpc::RetryInfo retry;
    *retry.mutable_retry_delay() = ToProto(absl::Milliseconds(info.retry_after_ms));
    out->add_details()->PackFrom(retry);
  }
  if (info.exit_reason) out->add_details()->PackFrom(ToProto(*info.exit_reason, self));
}

// The platform's own ErrorInfo is none of them: one that is there all the same was made up.
void AddForeignDetails(const absl::Status& in, google::rpc::Status* out) {
  in.ForEachPayload([out](absl::string_view url, const absl::Cord& bytes) {
    if (!View(url).starts_with(kDetailPrefix)) return;
    google::rpc::ErrorInfo error;
    if (View(url) == kErrorInfoUrl &&
        (!error.ParseFromString(std::string(bytes)) || error.domain() == kDomain)) {
      return;
    }
    auto* detail = out->add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(bytes));
  });
}

// ---- in

// Takes the detail into `info`; false if it is none of ours.
bool TakeDetail(const google::protobuf::Any& any, const NodeIdentity& self, ErrorInfo& info) {
  if (google::rpc::ErrorInfo error; any.Is<google::rpc::ErrorInfo>()) {
    if (!any.UnpackTo(&error) || error.domain() != kDomain) return false;
    info.reason = error.reason();
    info.metadata = {error.metadata().begin(), error.metadata().end()};
    return true;
  }
  if (google::rpc::BadRequest bad; any.Is<google::rpc::BadRequest>()) {
    if (!any.UnpackTo(&bad)) return false;
    for (const auto& v : bad.field_violations())
      info.fields.push_back({v.field(), v.description()});
    return true;
  }
  if (google::rpc::RetryInfo retry; any.Is<google::rpc::RetryInfo>()) {
    if (!any.UnpackTo(&retry) || Problem(retry.retry_delay())) return false;
    const int64_t ms = absl::ToInt64Milliseconds(FromProto(retry.retry_delay()));
    info.retry_after_ms = static_cast<int>(std::clamp<int64_t>(ms, 0, 24 * 3600 * 1000));
    return true;
  }
  if (v1::ExitReason exit; any.Is<v1::ExitReason>()) {
    if (!any.UnpackTo(&exit)) return false;
    info.exit_reason = FromProto(exit, self);
    return true;
  }
  return false;
}

bool HasPlatformInfo(const google::rpc::Status& in) {
  return std::any_of(in.details().begin(), in.details().end(), [](const auto& any) {
    google::rpc::ErrorInfo error;
    return any.template Is<google::rpc::ErrorInfo>() && any.UnpackTo(&error) &&
           error.domain() == kDomain;
  });
}

absl::StatusCode CodeOf(int code) {
  const bool known = code >= 1 && code <= 16;
  return known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown;
}

// ---- size

// Field violations as many as fit, so that what is left still names the first ones.
void HalveFields(ErrorInfo& info) { info.fields.resize(info.fields.size() / 2); }

// The reason without what is long.
ExitReason Brief(const ExitReason& in) {
  ExitReason::Info info;
  info.type = in.type().substr(0, 128);
  info.message = in.message().substr(0, 512);
  info.origin = in.origin();
  if (in.detail().size() <= 512) info.detail = in.detail();
  return ExitReason(in.kind(), std::move(info));
}

std::string_view OutcomeOf(const ErrorInfo& info) {
  const auto it = info.metadata.find("outcome");
  return it == info.metadata.end() ? std::string_view() : it->second;
}

std::optional<absl::Duration> ActorRetryDelay(const absl::Status& status) {
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.RetryInfo");
  google::rpc::RetryInfo retry;
  if (!payload.has_value() || !retry.ParseFromString(std::string(*payload))) return std::nullopt;
  if (Problem(retry.retry_delay())) return std::nullopt;
  return std::clamp(FromProto(retry.retry_delay()), absl::ZeroDuration(), absl::Hours(24));
}

}  // namespace

void ToProto(const absl::Status& in, const NodeIdentity& self, google::rpc::Status* out) {
  out->Clear();
  out->set_code(static_cast<int>(in.code()));
  std::string message(View(in.message()));
  if (std::optional<ErrorInfo> info = in.ok() ? std::nullopt : GetErrorInfo(in)) {
    QualifyPids(self, &*info, &message);
    AddInfo(*info, self, out);
  }
  out->set_message(Utf8(message));
  if (in.ok()) return;
  AddForeignDetails(in, out);
}

google::rpc::Status ToProto(const absl::Status& in, const NodeIdentity& self) {
  google::rpc::Status out;
  ToProto(in, self, &out);
  return out;
}

absl::Status FromProto(const google::rpc::Status& in, const NodeIdentity& self) {
  if (in.code() == 0) return absl::OkStatus();
  absl::Status out(CodeOf(in.code()), AbslView(in.message()));
  // Without the platform's ErrorInfo the error is somebody else's, and so are all its details.
  const bool ours = HasPlatformInfo(in);
  ErrorInfo info;
  for (const google::protobuf::Any& any : in.details()) {
    if (ours && TakeDetail(any, self, info)) continue;
    if (std::string_view(any.type_url()).starts_with(kDetailPrefix)) {
      out.SetPayload(any.type_url(), absl::Cord(any.value()));
    }
  }
  return ours ? WithErrorInfo(std::move(out), info) : out;
}

grpc::Status ToGrpc(const absl::Status& in, const NodeIdentity& self) {
  if (in.ok()) return grpc::Status::OK;
  google::rpc::Status proto = ToProto(in, self);
  const std::string message = Utf8(proto.message(), kMessageBytesMax);
  proto.set_message(message);
  if (std::optional<ErrorInfo> info = GetErrorInfo(in)) {
    std::string told(View(in.message()));
    QualifyPids(self, &*info, &told);
    const auto rebuild = [&] {
      proto.clear_details();
      AddInfo(*info, self, &proto);
      AddForeignDetails(in, &proto);
    };
    if (proto.ByteSizeLong() > kDetailBytesMax && info->exit_reason) {
      info->exit_reason = Brief(*info->exit_reason);
      rebuild();
    }
    while (proto.ByteSizeLong() > kDetailBytesMax && !info->fields.empty()) {
      HalveFields(*info);
      rebuild();
    }
  }
  while (proto.ByteSizeLong() > kDetailBytesMax && proto.details_size() > 1) {
    proto.mutable_details()->RemoveLast();
  }
  if (proto.ByteSizeLong() > kDetailBytesMax) proto.clear_details();
  std::string details;
  if (proto.details_size() > 0) details = proto.SerializeAsString();
  return grpc::Status(static_cast<grpc::StatusCode>(in.code()), message, details);
}

absl::Status FromGrpc(const grpc::Status& in, const NodeIdentity& self) {
  if (in.ok()) return absl::OkStatus();
  google::rpc::Status proto;
  if (in.error_details().empty() || !proto.ParseFromString(in.error_details())) proto.Clear();
  // The call's own code and text are the truth, whatever the details say.
  proto.set_code(static_cast<int>(CodeOf(static_cast<int>(in.error_code()))));
  proto.set_message(in.error_message());
  return FromProto(proto, self);
}

std::vector<std::pair<std::string, std::string>> Trailers(const absl::Status& status) {
  if (status.ok()) return {};
  std::vector<std::pair<std::string, std::string>> out;
  if (IsAnswered(status)) {
    out.emplace_back(kOriginTrailer, kActorOrigin);
    const std::optional<absl::Duration> delay = ActorRetryDelay(status);
    out.emplace_back(kPushbackTrailer,
                     delay ? fmt::format("{}", absl::ToInt64Milliseconds(*delay)) : "-1");
    return out;
  }
  out.emplace_back(kOriginTrailer, "node");
  const std::optional<ErrorInfo> info = GetErrorInfo(status);
  const bool not_executed = info && OutcomeOf(*info) == kNotExecuted;
  if (info && info->retry_after_ms > 0) {
    out.emplace_back(kPushbackTrailer, fmt::format("{}", info->retry_after_ms));
  } else if (!not_executed) {
    out.emplace_back(kPushbackTrailer, "-1");
  }
  return out;
}

}  // namespace banyan::wire

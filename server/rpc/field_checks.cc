#include "server/rpc/field_checks.h"

#include <utility>

#include "fmt/format.h"
#include "google/protobuf/util/field_mask_util.h"

#include "common/base/target.h"
#include "common/wire/payload.h"
#include "common/wire/target.h"
#include "common/wire/time.h"
#include "server/rpc/channels.h"
#include "server/rpc/filter.h"

namespace banyan::rpc {
namespace {

constexpr size_t kRequestIdMax = 64;

}  // namespace

void FieldChecks::Add(std::string_view reason, std::string field, std::string what) {
  if (reason_.empty()) {
    reason_ = reason;
  } else if (reason_ != reason) {
    reason_ = "REQUEST_INVALID";
  }
  fields_.push_back({std::move(field), std::move(what)});
}

FieldChecks& FieldChecks::Target(const v1::Target& target, bool present, const std::string& field) {
  if (!present) {
    Add("TARGET_INVALID", field, "must be set");
    return *this;
  }
  const absl::StatusOr<banyan::Target> decoded = wire::FromProto(target, {}, field);
  if (decoded.ok()) return *this;
  const std::optional<ErrorInfo> info = GetErrorInfo(decoded.status());
  if (info && !info->fields.empty()) {
    for (const auto& violation : info->fields) {
      Add("TARGET_INVALID", violation.field, violation.description);
    }
  } else {
    Add("TARGET_INVALID", field, std::string(decoded.status().message()));
  }
  return *this;
}

FieldChecks& FieldChecks::Payload(const v1::Payload& payload, const std::string& field) {
  if (payload.value().value().size() > static_cast<size_t>(kPayloadBytesMax)) {
    too_large_ = MakeError("PAYLOAD_TOO_LARGE",
                           fmt::format("{} has {} bytes; at most {} are taken", field,
                                       payload.value().value().size(), kPayloadBytesMax),
                           {{"limitBytes", fmt::format("{}", kPayloadBytesMax)}, {"field", field}});
  }
  std::vector<ErrorInfo::FieldViolation> problems;
  wire::CheckPayload(payload, field, &problems);
  for (auto& p : problems) Add("PAYLOAD_INVALID", std::move(p.field), std::move(p.description));
  return *this;
}

FieldChecks& FieldChecks::RequestId(const std::string& id) {
  return Text(id, "request_id", kRequestIdMax);
}

FieldChecks& FieldChecks::Text(const std::string& text, const std::string& field,
                               size_t bytes_max) {
  if (text.size() > bytes_max) {
    Add("REQUEST_INVALID", field,
        fmt::format("has {} bytes; at most {} are allowed", text.size(), bytes_max));
  }
  return *this;
}

FieldChecks& FieldChecks::Name(const std::string& name, const std::string& field) {
  if (auto problem = NameProblem(name)) Add("REQUEST_INVALID", field, *std::move(problem));
  return *this;
}

FieldChecks& FieldChecks::NodeName(const std::string& name, const std::string& field) {
  if (auto problem = NodeNameProblem(name)) Add("REQUEST_INVALID", field, *std::move(problem));
  return *this;
}

FieldChecks& FieldChecks::ChildRef(const std::string& id, const std::string& field) {
  auto problem = ChildIdProblem(id);
  if (problem && !ParsePid(id).ok()) Add("REQUEST_INVALID", field, *std::move(problem));
  return *this;
}

FieldChecks& FieldChecks::Duration(const google::protobuf::Duration& d, bool present,
                                   const std::string& field) {
  if (!present) return *this;
  if (auto problem = wire::Problem(d)) {
    Add("REQUEST_INVALID", field, *std::move(problem));
  } else if (d.seconds() < 0 || d.nanos() < 0) {
    Add("REQUEST_INVALID", field, "must not be negative");
  }
  return *this;
}

FieldChecks& FieldChecks::PageSize(int32_t size) {
  if (size < 0) Add("REQUEST_INVALID", "page_size", "must not be negative; 0 means 100");
  return *this;
}

FieldChecks& FieldChecks::Filter(const std::string& text,
                                 const google::protobuf::Descriptor& type) {
  const absl::StatusOr<MessageFilter> filter = MessageFilter::Parse(text, type);
  if (!filter.ok()) Add("REQUEST_INVALID", "filter", std::string(filter.status().message()));
  return *this;
}

FieldChecks& FieldChecks::Mask(const google::protobuf::FieldMask& mask,
                               const google::protobuf::Descriptor& type) {
  for (const std::string& path : mask.paths()) {
    if (!google::protobuf::util::FieldMaskUtil::GetFieldDescriptors(&type, path, nullptr)) {
      Add("REQUEST_INVALID", "read_mask", fmt::format("{} has no field \"{}\"", type.name(), path));
    }
  }
  return *this;
}

absl::Status FieldChecks::status() const {
  if (!fields_.empty()) return MakeFieldError(reason_, fields_);
  return too_large_;
}

}  // namespace banyan::rpc

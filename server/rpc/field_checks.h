#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/field_mask.pb.h"

#include "banyan/v1/types.pb.h"
#include "common/base/error.h"

namespace banyan::rpc {

// Collects what is wrong with the fields of one request. A specific reason (TARGET_INVALID ...) is
// used when only fields of that kind are wrong.
class FieldChecks {
 public:
  void Add(std::string_view reason, std::string field, std::string what);

  FieldChecks& Target(const v1::Target& target, bool present, const std::string& field = "target");
  FieldChecks& Payload(const v1::Payload& payload, const std::string& field);
  FieldChecks& RequestId(const std::string& id);
  FieldChecks& Name(const std::string& name, const std::string& field = "name");
  FieldChecks& NodeName(const std::string& name, const std::string& field = "name");
  // A child's id, or the text form of a pid.
  FieldChecks& ChildRef(const std::string& id, const std::string& field = "child_id");
  FieldChecks& Duration(const google::protobuf::Duration& d, bool present,
                        const std::string& field);
  FieldChecks& PageSize(int32_t size);
  FieldChecks& Filter(const std::string& text, const google::protobuf::Descriptor& type);
  FieldChecks& Mask(const google::protobuf::FieldMask& mask,
                    const google::protobuf::Descriptor& type);
  FieldChecks& Text(const std::string& text, const std::string& field, size_t bytes_max);

  absl::Status status() const;

 private:
  std::string reason_;
  absl::Status too_large_;
  std::vector<ErrorInfo::FieldViolation> fields_;
};

}  // namespace banyan::rpc

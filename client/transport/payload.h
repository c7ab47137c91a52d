#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/transport/types.h"
#include "google/protobuf/message.h"

#include "banyan/v1/types.pb.h"

namespace banyan::client {

// JSON to payload. An object with "@type" becomes that message ("type.googleapis.com/acme.v1.X" or
// just "acme.v1.X"); anything else becomes a google.protobuf.Value.
absl::StatusOr<v1::Payload> PayloadFromJson(const std::string& json, TypeRegistry* types);
// JSON of a message whose type is known: `type` is its full name.
absl::StatusOr<v1::Payload> PayloadFromTypedJson(const std::string& type, const std::string& json,
                                                 TypeRegistry* types);
// A JSON list, each item as by PayloadFromJson. Anything but a list is an error.
absl::StatusOr<std::vector<v1::Payload>> PayloadsFromJson(const std::string& json,
                                                          TypeRegistry* types);

// Protobuf JSON of a message, with every field that has no presence printed even if it is zero. An
// Any whose type nobody knows is shown as {"@type": "type.googleapis.com/google.protobuf.Struct",
// "value": {"type": .., "base64": ..}}, the only way to keep the rest readable.
std::string MessageToJson(const google::protobuf::Message& message, TypeRegistry* types,
                          bool pretty);
// JSON of what a payload holds, without the Any around it; "null" for "no data";
// {"type": .., "base64": ..} if nobody knows the type.
std::string PayloadToJson(const v1::Payload& payload, TypeRegistry* types, bool pretty);

}  // namespace banyan::client

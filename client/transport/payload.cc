#include "client/transport/payload.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include <fmt/format.h>

namespace banyan::client {
namespace {

using Json = nlohmann::ordered_json;
namespace pb = google::protobuf;

constexpr int kDepthMax = 100;

std::string TypeUrl(const std::string& name) { return fmt::format("{}{}", kTypePrefix, name); }

std::string NameOfUrl(const std::string& url) {
  const size_t slash = url.rfind('/');
  return slash == std::string::npos ? url : url.substr(slash + 1);
}

absl::Status UnknownType(const std::string& name) {
  return absl::InvalidArgumentError(
      fmt::format("message type \"{}\" is unknown: it is neither built in nor known to the server; "
                  "name its .proto file with "
                  "--proto FILE",
                  name));
}

absl::StatusOr<Json> ReadJson(const std::string& text) {
  // Parsed with exceptions for their message, which says where the error is.
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    return absl::InvalidArgumentError(fmt::format("not JSON: {}", e.what()));
  }
}

void ToValue(const Json& json, pb::Value* out) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return out->set_bool_value(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return out->set_number_value(json.get<double>());
    case Json::value_t::string:
      return out->set_string_value(json.get<std::string>());
    case Json::value_t::array:
      out->mutable_list_value();
      for (const Json& item : json) ToValue(item, out->mutable_list_value()->add_values());
      return;
    case Json::value_t::object:
      out->mutable_struct_value();
      for (const auto& [key, item] : json.items()) {
        ToValue(item, &(*out->mutable_struct_value()->mutable_fields())[key]);
      }
      return;
    default:
      return out->set_null_value(pb::NULL_VALUE);
  }
}

absl::StatusOr<std::string> ToBinary(const std::string& type, const std::string& json,
                                     TypeRegistry* types) {
  std::string binary;
  const auto status = pb::util::JsonToBinaryString(types->resolver(), TypeUrl(type), json, &binary);
  if (status.ok()) return binary;
  return absl::InvalidArgumentError(
      fmt::format("not a {}: {}", type, std::string(status.message())));
}

int Depth(const Json& json) {
  int deepest = 0;
  if (json.is_structured()) {
    for (const Json& item : json) deepest = std::max(deepest, Depth(item));
  }
  return deepest + 1;
}

absl::StatusOr<v1::Payload> FromParsed(Json json, TypeRegistry* types) {
  if (Depth(json) > kDepthMax) {
    return absl::InvalidArgumentError(fmt::format("nested more than {} deep", kDepthMax));
  }
  v1::Payload payload;
  if (!json.is_object() || !json.contains("@type")) {
    pb::Value value;
    ToValue(json, &value);
    payload.mutable_value()->PackFrom(value);
    return payload;
  }
  if (!json["@type"].is_string()) return absl::InvalidArgumentError("\"@type\" must be a string");
  const std::string name = NameOfUrl(json["@type"].get<std::string>());
  if (types->Find(name) == nullptr) return UnknownType(name);
  // The Any form of JSON handles messages and Protobuf's own types alike.
  json["@type"] = TypeUrl(name);
  absl::StatusOr<std::string> any = ToBinary("google.protobuf.Any", json.dump(), types);
  if (!any.ok()) return any.status();
  payload.mutable_value()->ParseFromString(*any);
  payload.mutable_value()->set_type_url(TypeUrl(name));
  return payload;
}

Json Opaque(const pb::Any& any) {
  return Json{
      {"type", NameOfUrl(any.type_url())},
      {"base64", absl::Base64Escape(absl::string_view(any.value().data(), any.value().size()))}};
}

// Whether the JSON printer can show what `any` holds.
bool Printable(const pb::Any& any, TypeRegistry* types) {
  if (any.type_url().empty()) return true;
  const pb::Descriptor* type = types->Find(NameOfUrl(any.type_url()));
  if (type == nullptr) return false;
  // The JSON printer overlooks some broken bytes; the parser doesn't.
  pb::DynamicMessageFactory factory;
  std::unique_ptr<pb::Message> message(factory.GetPrototype(type)->New());
  if (!message->ParseFromString(any.value())) return false;
  std::string ignored;
  return pb::util::BinaryToJsonString(types->resolver(), TypeUrl(type->full_name()), any.value(),
                                      &ignored)
      .ok();
}

// Puts a readable stand-in in place of every Any that can't be printed.
void HideUnknown(pb::Message* message, TypeRegistry* types) {
  if (message->GetDescriptor()->full_name() == "google.protobuf.Any") {
    auto* any = pb::DynamicCastToGenerated<pb::Any>(message);
    if (any == nullptr || Printable(*any, types)) return;
    const Json opaque = Opaque(*any);
    pb::Struct shown;
    for (const auto& [key, value] : opaque.items()) ToValue(value, &(*shown.mutable_fields())[key]);
    any->PackFrom(shown);
    return;
  }
  const pb::Reflection* reflection = message->GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      HideUnknown(reflection->MutableMessage(message, field), types);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      HideUnknown(reflection->MutableRepeatedMessage(message, field, i), types);
    }
  }
}

pb::util::JsonPrintOptions PrintOptions(bool pretty) {
  pb::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  return options;
}

// Protobuf indents by one space and ends with a newline. Strings in JSON have no raw line breaks,
// so every line's leading spaces are indentation.
std::string Reindent(const std::string& json) {
  std::string out;
  bool at_line_start = true;
  for (char c : json) {
    if (at_line_start && c == ' ') out += ' ';
    at_line_start = c == '\n' || (at_line_start && c == ' ');
    out += c;
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

absl::StatusOr<v1::Payload> PayloadFromJson(const std::string& json, TypeRegistry* types) {
  absl::StatusOr<Json> parsed = ReadJson(json);
  if (!parsed.ok()) return parsed.status();
  return FromParsed(*std::move(parsed), types);
}

absl::StatusOr<v1::Payload> PayloadFromTypedJson(const std::string& type, const std::string& json,
                                                 TypeRegistry* types) {
  absl::StatusOr<Json> parsed = ReadJson(json);
  if (!parsed.ok()) return parsed.status();
  const std::string name = NameOfUrl(type);
  const pb::Descriptor* descriptor = types->Find(name);
  if (descriptor == nullptr) return UnknownType(name);
  // A message is written as an object; Protobuf's own types (StringValue, Duration, ..) as their
  // value.
  Json any = Json::object();
  const bool well_known =
      descriptor->well_known_type() != pb::Descriptor::WELLKNOWNTYPE_UNSPECIFIED;
  if (well_known) {
    any["@type"] = name;
    any["value"] = *parsed;
  } else if (parsed->is_object()) {
    any = *parsed;
    any["@type"] = name;
  } else {
    return absl::InvalidArgumentError(fmt::format("not a {}: it must be a JSON object", name));
  }
  return FromParsed(std::move(any), types);
}

absl::StatusOr<std::vector<v1::Payload>> PayloadsFromJson(const std::string& json,
                                                          TypeRegistry* types) {
  absl::StatusOr<Json> parsed = ReadJson(json);
  if (!parsed.ok()) return parsed.status();
  if (!parsed->is_array()) {
    return absl::InvalidArgumentError("it must be a JSON list, e.g. '[{\"user\": 17}]'");
  }
  std::vector<v1::Payload> payloads;
  for (size_t i = 0; i < parsed->size(); ++i) {
    absl::StatusOr<v1::Payload> payload = FromParsed((*parsed)[i], types);
    if (!payload.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("item {}: {}", i, std::string(payload.status().message())));
    }
    payloads.push_back(*std::move(payload));
  }
  return payloads;
}

std::string MessageToJson(const pb::Message& message, TypeRegistry* types, bool pretty) {
  std::unique_ptr<pb::Message> copy(message.New());
  copy->CopyFrom(message);
  HideUnknown(copy.get(), types);
  std::string json;
  const auto status =
      pb::util::BinaryToJsonString(types->resolver(), TypeUrl(message.GetDescriptor()->full_name()),
                                   copy->SerializeAsString(), &json, PrintOptions(pretty));
  if (!status.ok()) {
    Json shown = {{"type", message.GetDescriptor()->full_name()},
                  {"error", std::string(status.message())}};
    return shown.dump();
  }
  return Reindent(json);
}

std::string PayloadToJson(const v1::Payload& payload, TypeRegistry* types, bool pretty) {
  if (!payload.has_value() || payload.value().type_url().empty()) return "null";
  const pb::Any& any = payload.value();
  if (!Printable(any, types)) return Opaque(any).dump(pretty ? 2 : -1);
  std::string json;
  const auto status =
      pb::util::BinaryToJsonString(types->resolver(), TypeUrl(NameOfUrl(any.type_url())),
                                   any.value(), &json, PrintOptions(pretty));
  if (!status.ok()) return Opaque(any).dump(pretty ? 2 : -1);
  return Reindent(json);
}

}  // namespace banyan::client

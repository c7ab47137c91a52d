#include "client/cli/yaml_message.h"

#include <optional>
#include <set>

#include "absl/strings/numbers.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/payload.h"
#include "nlohmann/json.hpp"
#include "yaml-cpp/yaml.h"
#include <fmt/format.h>

#include "banyan/v1/types.pb.h"

namespace banyan::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

std::string Join(const std::string& path, const std::string& field) {
  return path.empty() ? field : path + "." + field;
}

bool Quoted(const YAML::Node& node) { return node.Tag() == "!"; }

Json ScalarToJson(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (Quoted(node)) return text;
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  const Json number = Json::parse(text, nullptr, false);
  return number.is_number() ? number : Json(text);
}

Json ToJson(const YAML::Node& node) {
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const YAML::Node& item : node) list.push_back(ToJson(item));
    return list;
  }
  if (node.IsMap()) {
    Json map = Json::object();
    for (const auto& item : node)
      map[item.first.IsScalar() ? item.first.Scalar() : "?"] = ToJson(item.second);
    return map;
  }
  return node.IsScalar() ? ScalarToJson(node) : Json(nullptr);
}

std::optional<bool> ReadBool(const std::string& text) {
  if (text == "true" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "no" || text == "off") return false;
  return std::nullopt;
}

template <typename Int>
std::optional<Int> ReadInt(const std::string& text) {
  Int value;
  if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value;
}

const FieldDescriptor* FindField(const Descriptor* type, const std::string& key) {
  const FieldDescriptor* field = type->FindFieldByName(key);
  return field != nullptr ? field : type->FindFieldByCamelcaseName(key);
}

std::string FieldNames(const Descriptor* type) {
  std::string names;
  for (int i = 0; i < type->field_count(); ++i)
    names += (i > 0 ? ", " : "") + type->field(i)->name();
  return names;
}

}  // namespace

std::string YamlToJson(const YAML::Node& node) { return ToJson(node).dump(); }

void YamlToMessage::Problem(const YAML::Node& node, const std::string& path,
                            const std::string& what) {
  const int line = node.Mark().line + 1;
  problems_.push_back(fmt::format("line {}: {}{}{}", line, path, path.empty() ? "" : ": ", what));
}

void YamlToMessage::Fill(const YAML::Node& node, const std::string& path, Message* message) {
  if (FillSpecial(node, path, message)) return;
  if (node.IsNull()) return;
  if (!node.IsMap()) return Problem(node, path, "must be a map of fields");
  std::set<std::string> seen;
  for (const auto& item : node) {
    const std::string key = item.first.IsScalar() ? item.first.Scalar() : "?";
    const std::string where = Join(path, key);
    const FieldDescriptor* field = FindField(message->GetDescriptor(), key);
    if (field == nullptr) {
      Problem(
          item.first, where,
          fmt::format("there is no such field; allowed: {}", FieldNames(message->GetDescriptor())));
      continue;
    }
    if (!seen.insert(field->name()).second) {
      Problem(item.first, where, "is given twice");
      continue;
    }
    const auto* oneof = field->real_containing_oneof();
    if (oneof != nullptr && message->GetReflection()->HasOneof(*message, oneof)) {
      const auto* other = message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
      Problem(item.first, where, fmt::format("can't be given together with {}", other->name()));
      continue;
    }
    FillField(item.second, where, message, field);
  }
}

bool YamlToMessage::FillSpecial(const YAML::Node& node, const std::string& path, Message* message) {
  const std::string& type = message->GetDescriptor()->full_name();
  if (type == "banyan.v1.Payload") {
    FillPayload(node, path, message);
    return true;
  }
  const bool scalar = node.IsScalar();
  if (type == "google.protobuf.Duration") {
    auto duration = client::ParseDuration(scalar ? node.Scalar() : "");
    if (!duration.ok()) {
      Problem(node, path, std::string(duration.status().message()));
    } else {
      message->CopyFrom(client::ToProto(*duration));
    }
    return true;
  }
  if (type == "banyan.v1.ShutdownPolicy" && scalar) {
    auto policy = client::ParseShutdown(node.Scalar());
    if (!policy.ok()) {
      Problem(node, path, std::string(policy.status().message()));
    } else {
      message->CopyFrom(*policy);
    }
    return true;
  }
  return false;
}

void YamlToMessage::FillPayload(const YAML::Node& node, const std::string& path, Message* message) {
  auto payload = client::PayloadFromJson(YamlToJson(node), types_);
  if (!payload.ok()) return Problem(node, path, std::string(payload.status().message()));
  message->CopyFrom(*payload);
}

void YamlToMessage::FillField(const YAML::Node& node, const std::string& path, Message* message,
                              const FieldDescriptor* field) {
  if (node.IsNull()) return;
  if (field->is_map()) return FillMap(node, path, message, field);
  if (!field->is_repeated()) return FillOne(node, path, message, field);
  if (!node.IsSequence()) return Problem(node, path, "must be a list");
  for (size_t i = 0; i < node.size(); ++i)
    FillOne(node[i], fmt::format("{}[{}]", path, i), message, field);
}

void YamlToMessage::FillMap(const YAML::Node& node, const std::string& path, Message* message,
                            const FieldDescriptor* field) {
  if (!node.IsMap()) return Problem(node, path, "must be a map");
  for (const auto& item : node) {
    if (!item.first.IsScalar()) {
      Problem(item.first, path, "a key must be text");
      continue;
    }
    Message* entry = message->GetReflection()->AddMessage(message, field);
    const Descriptor* type = field->message_type();
    FillOne(item.first, path, entry, type->map_key());
    FillOne(item.second, Join(path, item.first.Scalar()), entry, type->map_value());
  }
}

void YamlToMessage::FillOne(const YAML::Node& node, const std::string& path, Message* message,
                            const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
    return FillScalar(node, path, message, field);
  const auto* reflection = message->GetReflection();
  Fill(node, path,
       field->is_repeated() ? reflection->AddMessage(message, field)
                            : reflection->MutableMessage(message, field));
}

void YamlToMessage::FillScalar(const YAML::Node& node, const std::string& path, Message* message,
                               const FieldDescriptor* field) {
  if (!node.IsScalar()) return Problem(node, path, "must be a single value");
  const std::string& text = node.Scalar();
  const auto* reflection = message->GetReflection();
  const auto put = [&](auto value, auto set, auto add, const std::string& what) {
    if (!value) return Problem(node, path, fmt::format("\"{}\" is not {}", text, what));
    if (field->is_repeated()) {
      (reflection->*add)(message, field, *value);
    } else {
      (reflection->*set)(message, field, *value);
    }
  };
  using R = google::protobuf::Reflection;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(ReadBool(text), &R::SetBool, &R::AddBool, "true or false");
    case FieldDescriptor::CPPTYPE_INT32:
      return put(ReadInt<int32_t>(text), &R::SetInt32, &R::AddInt32, "a whole number that fits");
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(ReadInt<uint32_t>(text), &R::SetUInt32, &R::AddUInt32,
                 "a whole number from 0 that fits");
    case FieldDescriptor::CPPTYPE_INT64:
      return put(ReadInt<int64_t>(text), &R::SetInt64, &R::AddInt64, "a whole number that fits");
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(ReadInt<uint64_t>(text), &R::SetUInt64, &R::AddUInt64,
                 "a whole number from 0 that fits");
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      std::optional<double> read;
      if (absl::SimpleAtod(text, &value)) read = value;
      return put(read, &R::SetDouble, &R::AddDouble, "a number");
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = EnumFromWord(field->enum_type(), text);
      std::optional<int> value;
      if (number >= 0) value = number;
      return put(value, &R::SetEnumValue, &R::AddEnumValue,
                 fmt::format("one of {}", EnumWords(field->enum_type())));
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (field->is_repeated()) return reflection->AddString(message, field, text);
      return reflection->SetString(message, field, text);
    }
    default:
      return Problem(node, path, "can't be written in YAML");
  }
}

}  // namespace banyan::cli

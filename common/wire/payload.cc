#include "common/wire/payload.h"

#include "fmt/format.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

#include "common/wire/utf8.h"

namespace banyan::wire {
namespace {

// Deterministic, since payloads are compared by their bytes.
std::string Serialize(const google::protobuf::Message& message) {
  std::string out;
  {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return out;
}

std::map<std::string, std::string> Headers(const v1::Payload& in) {
  return {in.headers().begin(), in.headers().end()};
}

bool IsHeaderKey(std::string_view key) {
  for (char c : key) {
    const bool ok =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!ok) return false;
  }
  return !key.empty();
}

}  // namespace

Payload FromProto(const v1::Payload& in) {
  if (!in.has_value() && in.headers().empty()) return {};
  return Payload::Any(in.value().type_url(), in.value().value(), Headers(in));
}

Payload FromProto(v1::Payload&& in) {
  if (!in.has_value() && in.headers().empty()) return {};
  google::protobuf::Any* any = in.mutable_value();
  return Payload::Any(std::move(*any->mutable_type_url()), std::move(*any->mutable_value()),
                      Headers(in));
}

absl::Status ToProto(const Payload& in, v1::Payload* out) {
  out->Clear();
  if (in.empty()) return absl::OkStatus();
  if (in.is_local()) {
    return MakeFieldError("PAYLOAD_INVALID",
                          {{"payload",
                            "a value that is not a Protobuf message cannot leave the "
                            "node that it was made on"}});
  }
  if (!in.type_url().empty()) {
    out->mutable_value()->set_type_url(in.type_url());
    out->mutable_value()->set_value(in.bytes());
  }
  for (const auto& [key, value] : in.headers()) {
    (*out->mutable_headers())[Utf8(key)] = Utf8(value);
  }
  return absl::OkStatus();
}

void CheckPayload(const v1::Payload& in, std::string_view field,
                  std::vector<ErrorInfo::FieldViolation>* problems) {
  if (in.has_value()) {
    const std::string& url = in.value().type_url();
    const size_t slash = url.rfind('/');
    if (slash == std::string::npos || slash + 1 == url.size()) {
      problems->push_back({fmt::format("{}.value.type_url", field),
                           fmt::format("'{}' is not a type URL; the form is "
                                       "type.googleapis.com/full.MessageName",
                                       Utf8(url, 200))});
    }
  }
  size_t bytes = 0;
  for (const auto& [key, value] : in.headers()) {
    bytes += key.size() + value.size();
    if (!IsHeaderKey(key)) {
      problems->push_back(
          {fmt::format("{}.headers", field),
           fmt::format("the key '{}' has characters other than a-z 0-9 - _ .", Utf8(key, 200))});
    }
  }
  if (bytes > kHeaderBytesMax) {
    problems->push_back(
        {fmt::format("{}.headers", field),
         fmt::format("{} bytes of headers; at most {} are allowed", bytes, kHeaderBytesMax)});
  }
}

std::string TypeUrl(const google::protobuf::Descriptor& type) {
  return "type.googleapis.com/" + type.full_name();
}

const std::string& MessageRep::bytes() const {
  std::call_once(once_, [this] { bytes_ = Serialize(message()); });
  return bytes_;
}

size_t MessageRep::size() const { return message().ByteSizeLong() + type_url_->size(); }

Payload MessagePayload(const google::protobuf::Message& message) {
  return Payload::Any(TypeUrl(*message.GetDescriptor()), Serialize(message));
}

absl::Status WrongType(const Payload& payload, std::string_view expected) {
  const std::string_view got = payload.empty()      ? "no payload"
                               : payload.is_local() ? "a local value"
                                                    : payload.type_name();
  return MakeFieldError(
      "PAYLOAD_INVALID",
      {{"payload", fmt::format("is {}; {} is expected", Utf8(got, 200), expected)}});
}

absl::Status BadBytes(const Payload& payload) {
  return MakeFieldError(
      "PAYLOAD_INVALID",
      {{"payload", fmt::format("its bytes are not a {}", Utf8(payload.type_name(), 200))}});
}

}  // namespace banyan::wire

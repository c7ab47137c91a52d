#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

#include "banyan/v1/types.pb.h"
#include "common/base/error.h"
#include "common/base/payload.h"

namespace banyan::wire {

inline constexpr size_t kHeaderBytesMax = 8 * 1024;

// Nothing is parsed in either direction; the rvalue form takes the bytes over. A payload without a
// value but with headers stays that.
Payload FromProto(const v1::Payload& in);
Payload FromProto(v1::Payload&& in);
// PAYLOAD_INVALID for a local value, which cannot leave its runtime; `out` is then empty.
absl::Status ToProto(const Payload& in, v1::Payload* out);

// Appends what is wrong with a payload from outside: type URL, headers.
void CheckPayload(const v1::Payload& in, std::string_view field,
                  std::vector<ErrorInfo::FieldViolation>* problems);

// "type.googleapis.com/" and the full name.
std::string TypeUrl(const google::protobuf::Descriptor& type);

// A parsed message that serialises itself once, when somebody asks for the bytes.
class MessageRep : public Payload::Rep {
 public:
  explicit MessageRep(const std::string* type_url) : type_url_(type_url) {}
  const std::string& type_url() const override { return *type_url_; }
  const std::string& bytes() const override;
  size_t size() const override;

 protected:
  virtual const google::protobuf::Message& message() const = 0;

 private:
  const std::string* const type_url_;  // lives for ever
  mutable std::once_flag once_;
  mutable std::string bytes_;
};

// `message` as a payload that As<T>() hands out without parsing.
template <typename T>
Payload MakePayload(T message, std::map<std::string, std::string> headers = {}) {
  static const std::string* const kUrl = new std::string(TypeUrl(*T::descriptor()));
  class Rep : public MessageRep {
   public:
    explicit Rep(T message) : MessageRep(kUrl), message_(std::move(message)) {}
    const void* Get(const std::type_info& type) const override {
      return type == typeid(T) ? &message_ : nullptr;
    }

   protected:
    const google::protobuf::Message& message() const override { return message_; }

   private:
    const T message_;
  };
  auto rep = std::make_shared<Rep>(std::move(message));
  rep->headers = std::move(headers);
  return Payload(std::move(rep));
}

// The serialized form of a message of a type known only at run time.
Payload MessagePayload(const google::protobuf::Message& message);

// Whether the payload says that it is a T.
template <typename T>
bool Is(const Payload& payload) {
  return payload.type_name() == std::string_view(T::descriptor()->full_name());
}

absl::Status WrongType(const Payload& payload, std::string_view expected);
absl::Status BadBytes(const Payload& payload);

// The message, parsed unless it is in there already. Errors: PAYLOAD_INVALID for another type or
// for bytes that are not such a message.
template <typename T>
absl::StatusOr<T> UnpackOrError(const Payload& payload) {
  if (const T* parsed = payload.As<T>()) return *parsed;
  if (!Is<T>(payload)) return WrongType(payload, T::descriptor()->full_name());
  T out;
  if (!out.ParseFromString(payload.bytes())) return BadBytes(payload);
  return out;
}

template <typename T>
std::optional<T> Unpack(const Payload& payload) {
  if (const T* parsed = payload.As<T>()) return *parsed;
  std::optional<T> out;
  if (Is<T>(payload) && !out.emplace().ParseFromString(payload.bytes())) out.reset();
  return out;
}

}  // namespace banyan::wire

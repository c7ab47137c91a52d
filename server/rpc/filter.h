#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace banyan::rpc {

// The filters of list requests: comparisons of a message's fields, joined by AND, as in
//   node = "n1" AND mailbox_length > 100 AND labels.tier = "gold"
// Operators: = != < <= > >=. Values: words, numbers, or text in double quotes. Enums compare by
// name, with or without their prefix, in any case. A repeated field equals a value if one of its
// elements does. A label that is not there equals nothing. The empty filter accepts all.
class MessageFilter {
 public:
  // INVALID_ARGUMENT saying where and why.
  static absl::StatusOr<MessageFilter> Parse(std::string_view text,
                                             const google::protobuf::Descriptor& type);
  // The same for the labels in `type`'s map `labels`, each named by its bare key: tier = "gold".
  static absl::StatusOr<MessageFilter> ParseLabels(std::string_view text,
                                                   const google::protobuf::Descriptor& type);
  bool Matches(const google::protobuf::Message& message) const;
  bool empty() const { return conditions_.empty(); }

 private:
  enum class Operator { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };
  struct Condition {
    const google::protobuf::FieldDescriptor* field = nullptr;
    std::string key;  // of a map field
    Operator op = Operator::kEqual;
    std::string text;
    double number = 0;
  };
  struct Lexer;
  static absl::StatusOr<MessageFilter> Parse(std::string_view text,
                                             const google::protobuf::Descriptor& type, bool labels);
  static absl::Status ReadField(Lexer* lexer, const google::protobuf::Descriptor& type, bool labels,
                                Condition* out);
  static absl::Status ReadRest(Lexer* lexer, Condition* out);
  static bool Holds(const google::protobuf::Message& message, const Condition& c);

  std::vector<Condition> conditions_;
};

}  // namespace banyan::rpc

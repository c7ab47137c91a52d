#include "server/rpc/filter.h"

#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "fmt/format.h"

#include "common/base/check.h"

namespace banyan::rpc {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kFilterBytesMax = 4096;
constexpr size_t kConditionsMax = 32;

bool IsWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' ||
         c == '/' || c == ':' || c == '~';
}

bool IsNumber(FieldDescriptor::CppType type) {
  switch (type) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return true;
    default:
      return false;
  }
}

std::string Lower(std::string text) {
  absl::AsciiStrToLower(&text);
  return text;
}

// "ACTOR_STATE_WAITING" equals "waiting".
bool EnumIs(const google::protobuf::EnumValueDescriptor& value, const std::string& text) {
  const std::string name = Lower(value.name());
  const std::string wanted = Lower(text);
  return name == wanted ||
         (name.size() > wanted.size() + 1 && name[name.size() - wanted.size() - 1] == '_' &&
          name.compare(name.size() - wanted.size(), wanted.size(), wanted) == 0);
}

bool EnumHas(const google::protobuf::EnumDescriptor& type, const std::string& text) {
  for (int i = 0; i < type.value_count(); ++i) {
    if (EnumIs(*type.value(i), text)) return true;
  }
  return false;
}

double NumberOf(const Message& m, const FieldDescriptor* f) {
  const Reflection* r = m.GetReflection();
  switch (f->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return r->GetInt32(m, f);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(r->GetInt64(m, f));
    case FieldDescriptor::CPPTYPE_UINT32:
      return r->GetUInt32(m, f);
    case FieldDescriptor::CPPTYPE_UINT64:
      return static_cast<double>(r->GetUInt64(m, f));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return r->GetFloat(m, f);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return r->GetDouble(m, f);
    default:
      return 0;
  }
}

std::optional<std::string> MapValue(const Message& m, const FieldDescriptor* f,
                                    const std::string& key) {
  const Reflection* r = m.GetReflection();
  for (int i = 0; i < r->FieldSize(m, f); ++i) {
    const Message& entry = r->GetRepeatedMessage(m, f, i);
    const auto* type = entry.GetDescriptor();
    if (entry.GetReflection()->GetString(entry, type->map_key()) != key) continue;
    return entry.GetReflection()->GetString(entry, type->map_value());
  }
  return std::nullopt;
}

bool Usable(const FieldDescriptor& f) {
  if (f.is_map()) {
    return f.message_type()->map_key()->cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
           f.message_type()->map_value()->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  }
  if (f.is_repeated()) return f.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  return f.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE;
}

}  // namespace

struct MessageFilter::Lexer {
  std::string_view text;
  size_t at = 0;

  void SkipSpace() {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
  }
  bool AtEnd() {
    SkipSpace();
    return at == text.size();
  }
  std::string Word() {
    SkipSpace();
    const size_t from = at;
    while (at < text.size() && IsWord(text[at])) ++at;
    return std::string(text.substr(from, at - from));
  }
  std::optional<Operator> Op() {
    SkipSpace();
    const auto take = [this](std::string_view op) {
      if (text.substr(at, op.size()) != op) return false;
      at += op.size();
      return true;
    };
    if (take("!=")) return Operator::kNotEqual;
    if (take("<=")) return Operator::kLessEqual;
    if (take(">=")) return Operator::kGreaterEqual;
    if (take("=")) return Operator::kEqual;
    if (take("<")) return Operator::kLess;
    if (take(">")) return Operator::kGreater;
    return std::nullopt;
  }
  // A word, or text in quotes with \" and \\ in it.
  std::optional<std::string> Value() {
    SkipSpace();
    if (at == text.size() || text[at] != '"') {
      std::string word = Word();
      if (word.empty()) return std::nullopt;
      return word;
    }
    std::string out;
    for (++at; at < text.size(); ++at) {
      if (text[at] == '"') {
        ++at;
        return out;
      }
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      out.push_back(text[at]);
    }
    return std::nullopt;
  }
  absl::Status Error(std::string_view what) const {
    return absl::InvalidArgumentError(fmt::format("at character {}: {}", at + 1, what));
  }
};

absl::Status MessageFilter::ReadField(Lexer* lexer, const google::protobuf::Descriptor& type,
                                      bool labels, Condition* out) {
  const std::string path = lexer->Word();
  if (path.empty()) return lexer->Error("a name is expected");
  if (labels) {
    out->field = type.FindFieldByName("labels");
    out->key = path;
    return absl::OkStatus();
  }
  const size_t dot = path.find('.');
  out->field = type.FindFieldByName(path.substr(0, dot));
  if (out->field == nullptr || !Usable(*out->field) ||
      out->field->is_map() != (dot != std::string::npos)) {
    return lexer->Error(fmt::format("\"{}\" is not a field that can be compared", path));
  }
  if (dot != std::string::npos) out->key = path.substr(dot + 1);
  return absl::OkStatus();
}

absl::Status MessageFilter::ReadRest(Lexer* lexer, Condition* out) {
  const std::string& path = out->field->name();
  const std::optional<Operator> op = lexer->Op();
  if (!op) return lexer->Error("one of = != < <= > >= is expected");
  out->op = *op;
  std::optional<std::string> value = lexer->Value();
  if (!value) return lexer->Error("a value is expected, with both quotes if it has any");
  out->text = *std::move(value);

  const bool ordered = *op != Operator::kEqual && *op != Operator::kNotEqual;
  if (IsNumber(out->field->cpp_type()) && !out->field->is_repeated()) {
    const char* end = out->text.data() + out->text.size();
    const auto [at, error] = std::from_chars(out->text.data(), end, out->number);
    if (error != std::errc() || at != end) {
      return lexer->Error(fmt::format("\"{}\" is compared with a number", path));
    }
  } else if (ordered) {
    return lexer->Error(fmt::format("\"{}\" can only be compared with = and !=", path));
  }
  if (out->field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL && out->text != "true" &&
      out->text != "false") {
    return lexer->Error(fmt::format("\"{}\" is true or false", path));
  }
  if (out->field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
      !EnumHas(*out->field->enum_type(), out->text)) {
    return lexer->Error(fmt::format("\"{}\" has no value \"{}\"", path, out->text));
  }
  return absl::OkStatus();
}

absl::StatusOr<MessageFilter> MessageFilter::Parse(std::string_view text,
                                                   const google::protobuf::Descriptor& type) {
  return Parse(text, type, false);
}

absl::StatusOr<MessageFilter> MessageFilter::ParseLabels(std::string_view text,
                                                         const google::protobuf::Descriptor& type) {
  return Parse(text, type, true);
}

absl::StatusOr<MessageFilter> MessageFilter::Parse(std::string_view text,
                                                   const google::protobuf::Descriptor& type,
                                                   bool labels) {
  MessageFilter out;
  Lexer lexer{text};
  if (text.size() > kFilterBytesMax) {
    return absl::InvalidArgumentError(fmt::format("longer than {} bytes", kFilterBytesMax));
  }
  while (!lexer.AtEnd()) {
    if (!out.conditions_.empty()) {
      if (Lower(lexer.Word()) != "and") return lexer.Error("AND is expected between conditions");
    }
    if (out.conditions_.size() == kConditionsMax) {
      return lexer.Error(fmt::format("more than {} conditions", kConditionsMax));
    }
    Condition condition;
    BANYAN_RETURN_IF_ERROR(ReadField(&lexer, type, labels, &condition));
    BANYAN_RETURN_IF_ERROR(ReadRest(&lexer, &condition));
    out.conditions_.push_back(std::move(condition));
  }
  return out;
}

bool MessageFilter::Holds(const Message& m, const Condition& c) {
  const Reflection* r = m.GetReflection();
  const FieldDescriptor* f = c.field;
  const bool negated = c.op == Operator::kNotEqual;
  if (f->is_map()) {
    const std::optional<std::string> value = MapValue(m, f, c.key);
    return (value && *value == c.text) != negated;
  }
  if (f->is_repeated()) {
    bool found = false;
    for (int i = 0; i < r->FieldSize(m, f) && !found; ++i) {
      found = r->GetRepeatedString(m, f, i) == c.text;
    }
    return found != negated;
  }
  if (IsNumber(f->cpp_type())) {
    const double value = NumberOf(m, f);
    switch (c.op) {
      case Operator::kEqual:
        return value == c.number;
      case Operator::kNotEqual:
        return value != c.number;
      case Operator::kLess:
        return value < c.number;
      case Operator::kLessEqual:
        return value <= c.number;
      case Operator::kGreater:
        return value > c.number;
      case Operator::kGreaterEqual:
        return value >= c.number;
    }
  }
  if (f->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    return (r->GetBool(m, f) == (c.text == "true")) != negated;
  }
  if (f->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const auto* value = f->enum_type()->FindValueByNumber(r->GetEnumValue(m, f));
    return (value != nullptr && EnumIs(*value, c.text)) != negated;
  }
  return (r->GetString(m, f) == c.text) != negated;
}

bool MessageFilter::Matches(const Message& message) const {
  for (const Condition& c : conditions_) {
    if (!Holds(message, c)) return false;
  }
  return true;
}

}  // namespace banyan::rpc

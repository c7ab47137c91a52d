#include "server/rpc/page_token.h"

#include <cinttypes>
#include <cstdio>
#include <vector>

#include "absl/strings/str_split.h"
#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan::rpc {
namespace {

// Not a secret: only tells a token of another list from one of this list.
uint32_t Checksum(std::string_view conditions) {
  uint32_t hash = 2166136261u;
  for (unsigned char c : conditions) hash = (hash ^ c) * 16777619u;
  return hash;
}

absl::Status BadToken(std::string_view why) {
  return MakeFieldError("PAGE_TOKEN_INVALID", {{"page_token", std::string(why)}});
}

// Reads "KIND-%x-..." where the last number is the checksum of the conditions.
absl::StatusOr<std::vector<uint64_t>> Numbers(std::string_view token, char kind, size_t count,
                                              std::string_view conditions) {
  std::vector<uint64_t> numbers;
  const std::string text(token);
  if (text.size() < 2 || text[0] != kind || text[1] != '-')
    return BadToken("is not a token of this list");
  for (absl::string_view part : absl::StrSplit(absl::string_view(text).substr(2), '-')) {
    uint64_t number = 0;
    int used = 0;
    const std::string digits(part.data(), part.size());
    if (digits.empty() || digits.size() > 16 ||
        std::sscanf(digits.c_str(), "%" SCNx64 "%n", &number, &used) != 1 ||
        static_cast<size_t>(used) != digits.size()) {
      return BadToken("is not a token of this list");
    }
    numbers.push_back(number);
  }
  if (numbers.size() != count + 1) return BadToken("is not a token of this list");
  if (numbers.back() != Checksum(conditions)) {
    return BadToken("belongs to a list with other conditions; only page_size may change");
  }
  numbers.pop_back();
  return numbers;
}

double Value(const v1::ActorInfo& actor, const google::protobuf::FieldDescriptor* f) {
  const auto* r = actor.GetReflection();
  return f->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32
             ? r->GetUInt32(actor, f)
             : static_cast<double>(r->GetUInt64(actor, f));
}

}  // namespace

std::string EncodeActorToken(const ActorCursor& cursor, std::string_view conditions) {
  return fmt::format("a-{:x}-{:x}-{:x}", cursor.node_id, cursor.id, Checksum(conditions));
}

absl::StatusOr<std::optional<ActorCursor>> DecodeActorToken(std::string_view token,
                                                            std::string_view conditions) {
  if (token.empty()) return std::optional<ActorCursor>();
  auto numbers = Numbers(token, 'a', 2, conditions);
  if (!numbers.ok()) return numbers.status();
  return std::optional<ActorCursor>(
      ActorCursor{static_cast<uint32_t>((*numbers)[0]), (*numbers)[1]});
}

std::string EncodeOffsetToken(size_t offset, std::string_view conditions) {
  return fmt::format("o-{:x}-{:x}", offset, Checksum(conditions));
}

absl::StatusOr<size_t> DecodeOffsetToken(std::string_view token, std::string_view conditions) {
  if (token.empty()) return size_t{0};
  auto numbers = Numbers(token, 'o', 1, conditions);
  if (!numbers.ok()) return numbers.status();
  return static_cast<size_t>((*numbers)[0]);
}

absl::StatusOr<ActorOrder> ActorOrder::Parse(std::string_view text) {
  std::vector<std::string> words =
      absl::StrSplit(absl::string_view(text.data(), text.size()), ' ', absl::SkipEmpty());
  ActorOrder out;
  if (words.empty() || words.size() > 2) return absl::InvalidArgumentError("FIELD or FIELD desc");
  out.field = v1::ActorInfo::descriptor()->FindFieldByName(words[0]);
  using Field = google::protobuf::FieldDescriptor;
  if (out.field == nullptr || out.field->is_repeated() ||
      (out.field->cpp_type() != Field::CPPTYPE_UINT32 &&
       out.field->cpp_type() != Field::CPPTYPE_UINT64)) {
    return absl::InvalidArgumentError("not a number field");
  }
  if (words.size() == 2) {
    if (words[1] != "desc" && words[1] != "asc") return absl::InvalidArgumentError("asc or desc");
    out.descending = words[1] == "desc";
  }
  return out;
}

bool ActorOrder::Before(const v1::ActorInfo& a, const v1::ActorInfo& b) const {
  const double x = Value(a, field);
  const double y = Value(b, field);
  return descending ? x > y : x < y;
}

}  // namespace banyan::rpc

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

#include "banyan/v1/types.pb.h"

namespace banyan::rpc {

inline constexpr size_t kPageTokenMax = 1024;

// Page sizes of all lists: 0 is 100, above 1000 is 1000.
inline int PageSize(int32_t requested) {
  return requested == 0 ? 100 : requested > 1000 ? 1000 : requested;
}

// Where a list of processes goes on: after this one, in order of (node_id, id). The token also
// binds the conditions of the list, which must not change between pages.
struct ActorCursor {
  uint32_t node_id = 0;
  uint64_t id = 0;
  friend auto operator<=>(const ActorCursor&, const ActorCursor&) = default;
};
std::string EncodeActorToken(const ActorCursor& cursor, std::string_view conditions);
// Errors: PAGE_TOKEN_INVALID. An empty token: nullopt.
absl::StatusOr<std::optional<ActorCursor>> DecodeActorToken(std::string_view token,
                                                            std::string_view conditions);

// A position in a list that is gathered anew for each page.
std::string EncodeOffsetToken(size_t offset, std::string_view conditions);
absl::StatusOr<size_t> DecodeOffsetToken(std::string_view token, std::string_view conditions);

// `order_by` of ListActors: a number field of ActorInfo and a direction.
struct ActorOrder {
  const google::protobuf::FieldDescriptor* field = nullptr;
  bool descending = false;
  static absl::StatusOr<ActorOrder> Parse(std::string_view text);
  bool Before(const v1::ActorInfo& a, const v1::ActorInfo& b) const;
};

}  // namespace banyan::rpc

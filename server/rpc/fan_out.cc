#include "server/rpc/fan_out.h"

#include <algorithm>

#include "fmt/format.h"
#include "google/protobuf/util/field_mask_util.h"

namespace banyan::rpc {
namespace {

ActorCursor CursorOf(const v1::ActorInfo& actor) {
  return {actor.pid().node_id(), actor.pid().id()};
}

}  // namespace

std::string ConditionsOf(const v1::ListActorsRequest& request) {
  return fmt::format("{}\n{}", request.filter(), request.order_by());
}

void PageActors(const v1::ListActorsRequest& request, bool more, v1::ListActorsResponse* out) {
  auto* actors = out->mutable_actors();
  const auto by_pid = [](const v1::ActorInfo& a, const v1::ActorInfo& b) {
    return CursorOf(a) < CursorOf(b);
  };
  const bool top = !request.order_by().empty();
  if (top) {
    const absl::StatusOr<ActorOrder> order = ActorOrder::Parse(request.order_by());
    std::sort(actors->begin(), actors->end(), [&](const auto& a, const auto& b) {
      if (order->Before(a, b)) return true;
      return !order->Before(b, a) && by_pid(a, b);
    });
  } else {
    std::sort(actors->begin(), actors->end(), by_pid);
  }
  const int size = PageSize(request.page_size());
  if (actors->size() > size) {
    more = true;
    actors->DeleteSubrange(size, actors->size() - size);
  }
  // With an order the answer is the first ones and no further page.
  if (more && !top && !actors->empty()) {
    out->set_next_page_token(EncodeActorToken(CursorOf(*actors->rbegin()), ConditionsOf(request)));
  }
  if (request.has_read_mask()) {
    for (v1::ActorInfo& actor : *actors) {
      google::protobuf::util::FieldMaskUtil::TrimMessage(request.read_mask(), &actor);
    }
  }
}

void MergeActors(const v1::ListActorsRequest& request, std::vector<FanOutNode> nodes,
                 std::vector<std::unique_ptr<v1::ListActorsResponse>> answers,
                 v1::ListActorsResponse* out) {
  bool more = false;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i] == nullptr) {
      out->add_unreachable(fmt::format("nodes/{}", nodes[i].name));
      continue;
    }
    more |= !answers[i]->next_page_token().empty();
    for (v1::ActorInfo& actor : *answers[i]->mutable_actors())
      *out->add_actors() = std::move(actor);
  }
  PageActors(request, more, out);
}

}  // namespace banyan::rpc

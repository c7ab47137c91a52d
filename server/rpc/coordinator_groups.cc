#include <memory>
#include <utility>

#include "server/rpc/coordinator_routes.h"

// Process groups (registry.proto): every node knows them all, and can change what is elsewhere.

namespace banyan::rpc {

template <typename Request, typename Response>
void CoordinatorBackend::OnAnyNode(const CallContext& context, Request* request, const char* method,
                                   Answer<Response> answer) {
  auto kept = std::make_shared<Request>(std::move(*request));
  ActiveNodes(
      [this, context, kept, method, answer](const absl::StatusOr<std::vector<FanOutNode>>& nodes) {
        if (!nodes.ok()) return answer.Fail(nodes.status());
        if (nodes->empty()) {
          return answer.Fail(MakeError("NOT_DELIVERED", "the cluster has no node that has groups"));
        }
        deps_.forwarder->Pass(context, Hop::kNode, nodes->front().address, method, std::move(*kept),
                              answer);
      });
}

#define BANYAN_ON_ANY_NODE(Method)                                                          \
  void CoordinatorBackend::Method(const CallContext& context, v1::Method##Request* request, \
                                  Answer<v1::Method##Response> answer) {                    \
    OnAnyNode(context, request, method::k##Method, std::move(answer));                      \
  }
BANYAN_ON_ANY_NODE(Join)
BANYAN_ON_ANY_NODE(Leave)
BANYAN_ON_ANY_NODE(ListMembers)
BANYAN_ON_ANY_NODE(ListGroups)
#undef BANYAN_ON_ANY_NODE

void CoordinatorBackend::WatchGroups(const CallContext& context, v1::WatchGroupsRequest* request,
                                     EventStreamPtr<v1::WatchGroupsResponse> stream) {
  auto kept = std::make_shared<v1::WatchGroupsRequest>(std::move(*request));
  ActiveNodes([this, context, kept, stream](const absl::StatusOr<std::vector<FanOutNode>>& nodes) {
    if (!nodes.ok()) return stream->Close(nodes.status());
    if (nodes->empty()) {
      return stream->Close(MakeError("NOT_DELIVERED", "the cluster has no node that has groups"));
    }
    deps_.forwarder->PassStream(context, Hop::kNode, nodes->front().address, method::kWatchGroups,
                                std::move(*kept), stream);
  });
}

}  // namespace banyan::rpc

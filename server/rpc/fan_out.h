#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "banyan/v1/actors.pb.h"
#include "common/base/mutex.h"
#include "server/rpc/forward.h"
#include "server/rpc/page_token.h"

namespace banyan::rpc {

// A node that a list request is put to.
struct FanOutNode {
  std::string name;
  std::string address;
};

// Asks several nodes the same and hands over their answers, one entry a node in the order given;
// null: it did not answer. A node that hangs costs at most `kFanOutLimit`.
inline constexpr absl::Duration kFanOutLimit = absl::Seconds(3);

template <typename Request, typename Response>
void FanOut(Forwarder* forwarder, CallContext context, std::vector<FanOutNode> nodes,
            const char* method, const Request& request,
            std::function<void(std::vector<std::unique_ptr<Response>>)> done) {
  struct Gathering {
    Mutex mu;
    size_t waiting ABSL_GUARDED_BY(mu);
    std::vector<std::unique_ptr<Response>> answers ABSL_GUARDED_BY(mu);
    std::function<void(std::vector<std::unique_ptr<Response>>)> done;
  };
  if (nodes.empty()) return done({});
  auto gathering = std::make_shared<Gathering>();
  {
    MutexLock lock(&gathering->mu);
    gathering->waiting = nodes.size();
    gathering->answers.resize(nodes.size());
  }
  gathering->done = std::move(done);
  context.deadline = std::min(context.deadline, forwarder->clock().Now() + kFanOutLimit);
  for (size_t i = 0; i < nodes.size(); ++i) {
    forwarder->Ask<Request, Response>(
        context, Hop::kNode, nodes[i].address, method, request,
        [gathering, i](const grpc::Status& status, Response* response, const grpc::ClientContext&) {
          std::vector<std::unique_ptr<Response>> all;
          {
            MutexLock lock(&gathering->mu);
            if (status.ok()) {
              gathering->answers[i] = std::make_unique<Response>(std::move(*response));
            }
            if (--gathering->waiting > 0) return;
            all = std::move(gathering->answers);
          }
          gathering->done(std::move(all));
        });
  }
}

// ListActors over the answers of nodes: order, page, `unreachable`.
std::string ConditionsOf(const v1::ListActorsRequest& request);
void MergeActors(const v1::ListActorsRequest& request, std::vector<FanOutNode> nodes,
                 std::vector<std::unique_ptr<v1::ListActorsResponse>> answers,
                 v1::ListActorsResponse* out);
// Sorts, cuts and continues one page out of candidates that all come after the request's token.
void PageActors(const v1::ListActorsRequest& request, bool more, v1::ListActorsResponse* out);

}  // namespace banyan::rpc

#pragma once

#include <utility>

#include "fmt/format.h"

#include "common/wire/pid.h"
#include "server/rpc/method_names.h"
#include "server/rpc/node_backend.h"

// The templates of NodeBackend, for its own files.

namespace banyan::rpc {

template <typename Request, typename Response>
void NodeBackend::PassToCoordinator(const CallContext& context, const char* method, Request request,
                                    Answer<Response> answer) {
  const std::string address = Coordinator();
  if (address.empty()) {
    return answer.Fail(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  deps_.forwarder->Pass(context, Hop::kCoordinator, address, method, std::move(request),
                        std::move(answer));
}

// `target` is a field of `request`: it becomes the pid, so that the other node need not look
// anything up. The request is taken.
template <typename Request, typename Response>
void NodeBackend::PassToNode(const CallContext& context, Pid pid, const char* method,
                             Request* request, v1::Target* target, Answer<Response> answer) {
  absl::StatusOr<std::string> address = AddressOf(pid.node_id, pid.incarnation);
  if (!address.ok()) return answer.Fail(address.status());
  target->Clear();
  wire::ToProto(pid, self(), target->mutable_pid());
  deps_.forwarder->Pass(context, Hop::kNode, *address, method, std::move(*request),
                        std::move(answer));
}

template <typename Request, typename Response>
void NodeBackend::OnSupervisor(const CallContext& context, Request* request, const char* method,
                               Answer<Response> answer,
                               std::function<void(Request, Pid, Answer<Response>)> here) {
  absl::StatusOr<Pid> pid = ResolveNow(request->supervisor());
  if (!pid.ok()) return answer.Fail(pid.status());
  if (pid->valid() && pid->local()) return here(std::move(*request), *pid, std::move(answer));
  if (pid->valid()) {
    return PassToNode(context, *pid, method, request, request->mutable_supervisor(), answer);
  }
  // Not moved along with the request while it is read.
  const v1::Target target = request->supervisor();
  Locate(context, target, context.deadline,
         [this, context, method, answer, here = std::move(here),
          moved = std::make_shared<Request>(std::move(*request))](absl::StatusOr<Pid> found) {
           if (!found.ok()) return answer.Fail(found.status(), self());
           if (!found->valid()) {
             // Cluster-wide supervisors, and names of other nodes, are known there.
             return PassToCoordinator(context, method, std::move(*moved), answer);
           }
           if (found->local()) return here(std::move(*moved), *found, answer);
           PassToNode(context, *found, method, moved.get(), moved->mutable_supervisor(), answer);
         });
}

}  // namespace banyan::rpc

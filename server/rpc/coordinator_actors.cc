#include <algorithm>
#include <memory>
#include <utility>

#include "common/wire/target.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/coordinator_routes.h"
#include "server/rpc/filter.h"
#include "server/wire/child_spec.h"

namespace banyan::rpc {

void CoordinatorBackend::ActiveNodes(
    std::function<void(absl::StatusOr<std::vector<FanOutNode>>)> done) {
  struct Gathering {
    std::vector<FanOutNode> nodes;
    std::function<void(absl::StatusOr<std::vector<FanOutNode>>)> done;
    std::function<void(std::string)> next;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  gathering->next = [this, gathering](std::string token) {
    deps_.coordinator->ListNodes(
        PageArgs{1000, std::move(token)}, false, nullptr,
        [gathering](absl::StatusOr<v1::ListNodesResponse> page) {
          auto finish = [&](absl::StatusOr<std::vector<FanOutNode>> result) {
            gathering->next = nullptr;  // it holds itself
            gathering->done(std::move(result));
          };
          if (!page.ok()) return finish(page.status());
          for (const v1::NodeInfo& node : page->nodes()) {
            gathering->nodes.push_back({node.name(), node.address()});
          }
          if (page->next_page_token().empty()) return finish(std::move(gathering->nodes));
          gathering->next(page->next_page_token());
        });
  };
  gathering->next("");
}

bool CoordinatorBackend::MayRepeat() {
  MutexLock lock(&budget_mu_);
  return budget_.Take();
}

void CoordinatorBackend::Call(const CallContext& context, v1::CallRequest* request,
                              Answer<v1::CallResponse> answer) {
  absl::StatusOr<Target> target = wire::FromProto(request->target(), {});
  if (!target.ok()) return answer.Fail(target.status());
  {
    MutexLock lock(&budget_mu_);
    budget_.OnCall();
  }
  CallContext limited = context;
  limited.deadline = CallDeadline(context, *request, deps_.clock->Now());
  Route<v1::CallRequest, v1::CallResponse>(limited, std::move(*request), TargetOf<v1::CallRequest>,
                                           method::kCall, limited.deadline, std::move(answer));
}

void CoordinatorBackend::Cast(const CallContext& context, v1::CastRequest* request,
                              Answer<v1::CastResponse> answer) {
  absl::StatusOr<Target> target = wire::FromProto(request->target(), {});
  if (!target.ok()) return answer.Fail(target.status());
  Route<v1::CastRequest, v1::CastResponse>(
      context, std::move(*request), TargetOf<v1::CastRequest>, method::kCast,
      std::min(context.deadline, deps_.clock->Now() + kDefaultCallTimeout), std::move(answer));
}

void CoordinatorBackend::Send(const CallContext& context, v1::SendRequest* request,
                              Answer<v1::SendResponse> answer) {
  absl::StatusOr<Target> target = wire::FromProto(request->target(), {});
  if (!target.ok()) return answer.Fail(target.status());
  Route<v1::SendRequest, v1::SendResponse>(
      context, std::move(*request), TargetOf<v1::SendRequest>, method::kSend,
      std::min(context.deadline, deps_.clock->Now() + kDefaultCallTimeout), std::move(answer));
}

// On the node named, else on any that has the module. A repeated request goes where the first one
// went, while that life of the node lasts: only there is it known whether it ran.
void CoordinatorBackend::Spawn(const CallContext& context, v1::SpawnRequest* request,
                               Answer<v1::SpawnResponse> answer) {
  absl::StatusOr<StartSpec> start = wire::DecodeStartSpec(request->start());
  if (!start.ok()) return answer.Fail(start.status());
  auto kept = std::make_shared<v1::SpawnRequest>(std::move(*request));
  deps_.coordinator->ListNodes(
      PageArgs{1000, ""}, false,
      [kept](const v1::NodeInfo& node) {
        if (!kept->placement().node().empty()) return node.name() == kept->placement().node();
        for (const v1::ModuleInfo& m : node.modules()) {
          if (m.name() == kept->start().module()) return true;
        }
        return false;
      },
      [this, context, kept, answer](absl::StatusOr<v1::ListNodesResponse> nodes) {
        if (!nodes.ok()) return answer.Fail(nodes.status());
        const v1::NodeInfo* node = PlaceSpawn(*kept, *nodes);
        if (node == nullptr) {
          return answer.Fail(MakeError(
              "NO_NODE_FITS", fmt::format("no node can run module {}", kept->start().module()),
              {{"module", kept->start().module()}}));
        }
        kept->mutable_placement()->set_node(node->name());
        deps_.forwarder->Pass(context, Hop::kNode, node->address(), method::kSpawn,
                              std::move(*kept), answer);
      });
}

const v1::NodeInfo* CoordinatorBackend::PlaceSpawn(const v1::SpawnRequest& request,
                                                   const v1::ListNodesResponse& nodes) {
  MutexLock lock(&spawns_mu_);
  const Instant now = deps_.clock->Now();
  const std::string& id = request.request_id();
  if (const auto* before = id.empty() ? nullptr : spawns_.Find(id, now)) {
    for (const v1::NodeInfo& node : nodes.nodes()) {
      if (node.name() == before->first && node.incarnation() == before->second) return &node;
    }
  }
  for (const v1::NodeInfo& node : nodes.nodes()) {
    const bool has_module =
        std::any_of(node.modules().begin(), node.modules().end(),
                    [&](const v1::ModuleInfo& m) { return m.name() == request.start().module(); });
    if (!node.schedulable() || !has_module) continue;
    if (!id.empty()) spawns_.Add(id, {node.name(), node.incarnation()}, now);
    return &node;
  }
  return nullptr;
}

void CoordinatorBackend::Exit(const CallContext& context, v1::ExitRequest* request,
                              Answer<v1::ExitResponse> answer) {
  Route<v1::ExitRequest, v1::ExitResponse>(context, std::move(*request), TargetOf<v1::ExitRequest>,
                                           method::kExit, context.deadline, std::move(answer));
}

void CoordinatorBackend::Whereis(const CallContext& context, v1::WhereisRequest* request,
                                 Answer<v1::WhereisResponse> answer) {
  auto kept = std::make_shared<v1::WhereisRequest>(std::move(*request));
  deps_.coordinator->ResolveTarget(
      TargetFrom(kept->target()), context.deadline,
      [this, context, kept, answer](absl::StatusOr<ResolvedTarget> to) {
        if (!to.ok()) return answer.Fail(to.status());
        if (to->pid.valid() && to->rest.empty()) {
          return answer.With(
              [&](v1::WhereisResponse* out) { wire::ToProto(to->pid, {}, out->mutable_pid()); });
        }
        WriteTarget(*to, kept->mutable_target());
        deps_.forwarder->Pass(context, Hop::kNode, to->address, method::kWhereis, std::move(*kept),
                              answer);
      });
}

void CoordinatorBackend::GetActor(const CallContext& context, v1::GetActorRequest* request,
                                  Answer<v1::GetActorResponse> answer) {
  Route<v1::GetActorRequest, v1::GetActorResponse>(context, std::move(*request),
                                                   TargetOf<v1::GetActorRequest>, method::kGetActor,
                                                   context.deadline, std::move(answer));
}

void CoordinatorBackend::ListActors(const CallContext& context, v1::ListActorsRequest* request,
                                    Answer<v1::ListActorsResponse> answer) {
  if (auto token = DecodeActorToken(request->page_token(), ConditionsOf(*request)); !token.ok()) {
    return answer.Fail(token.status());
  }
  auto kept = std::make_shared<v1::ListActorsRequest>(std::move(*request));
  ActiveNodes([this, context, kept, answer](absl::StatusOr<std::vector<FanOutNode>> nodes) {
    if (!nodes.ok()) return answer.Fail(nodes.status());
    v1::ListActorsRequest each = *kept;
    each.clear_read_mask();
    FanOut<v1::ListActorsRequest, v1::ListActorsResponse>(
        deps_.forwarder, context, *nodes, method::kListActors, each,
        [kept, nodes = *nodes,
         answer](std::vector<std::unique_ptr<v1::ListActorsResponse>> answers) {
          answer.With([&](v1::ListActorsResponse* out) {
            MergeActors(*kept, nodes, std::move(answers), out);
          });
        });
  });
}

// Monitors are held by processes' nodes; any of them can hold those of others too.
void CoordinatorBackend::Monitor(const CallContext& context, v1::MonitorRequest* request,
                                 EventStreamPtr<v1::MonitorResponse> stream) {
  auto kept = std::make_shared<v1::MonitorRequest>(std::move(*request));
  ActiveNodes([this, context, kept, stream](absl::StatusOr<std::vector<FanOutNode>> nodes) {
    if (!nodes.ok()) return stream->Close(nodes.status());
    if (nodes->empty()) {
      return stream->Close(MakeError("NOT_DELIVERED", "the cluster has no node that could watch"));
    }
    deps_.forwarder->PassStream(context, Hop::kNode, nodes->front().address, method::kMonitor,
                                std::move(*kept), stream);
  });
}

}  // namespace banyan::rpc

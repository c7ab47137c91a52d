#include <memory>
#include <utility>

#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "server/rpc/coordinator_routes.h"
#include "server/rpc/filter.h"
#include "server/wire/child_spec.h"

namespace banyan::rpc {
namespace {

// An operation on a cluster-wide supervisor whose answer becomes a field of the response.
template <typename Response, typename Value>
Reply<Value> Into(Reply<Response> done, void (*put)(Value, Response*)) {
  return [done = std::move(done), put](absl::StatusOr<Value> value) {
    if (!value.ok()) return done(value.status());
    Response response;
    put(*std::move(value), &response);
    done(std::move(response));
  };
}

ChildArgs ArgsOf(const auto& request) {
  return {TargetFrom(request.supervisor()), request.child_id(), request.request_id()};
}

}  // namespace

void CoordinatorBackend::StartSupervisor(const CallContext& context,
                                         v1::StartSupervisorRequest* request,
                                         Answer<v1::StartSupervisorResponse> answer) {
  absl::StatusOr<SupervisorSpec> spec = wire::DecodeSupervisorSpec(request->spec());
  if (!spec.ok()) return answer.Fail(spec.status());
  const auto parent = [](v1::StartSupervisorRequest* r) { return r->mutable_parent(); };
  if (!request->cluster_wide() && !request->has_parent()) {
    // A local root: on the node named, else on any.
    const std::string node = spec->placement.node;
    auto kept = std::make_shared<v1::StartSupervisorRequest>(std::move(*request));
    return ActiveNodes(
        [this, context, kept, node, answer](absl::StatusOr<std::vector<FanOutNode>> nodes) {
          if (!nodes.ok()) return answer.Fail(nodes.status());
          for (const FanOutNode& candidate : *nodes) {
            if (!node.empty() && candidate.name != node) continue;
            return deps_.forwarder->Pass(context, Hop::kNode, candidate.address,
                                         method::kStartSupervisor, std::move(*kept), answer);
          }
          answer.Fail(node.empty()
                          ? MakeError("NO_NODE_FITS", "the cluster has no node")
                          : MakeError("NODE_NOT_FOUND", fmt::format("there is no node {}", node),
                                      {{"node", node}}));
        });
  }
  if (request->has_parent() && request->parent().kind_case() == v1::Target::kPid) {
    return Route<v1::StartSupervisorRequest, v1::StartSupervisorResponse>(
        context, std::move(*request), parent, method::kStartSupervisor, context.deadline, answer);
  }
  StartSupervisorArgs args;
  args.spec = *std::move(spec);
  args.name = request->name();
  if (request->has_parent()) args.parent = TargetFrom(request->parent());
  args.child_id = request->child_id();
  args.request_id = request->request_id();
  auto kept = std::make_shared<v1::StartSupervisorRequest>(std::move(*request));
  deps_.coordinator->StartSupervisor(std::move(args), [this, context, kept, parent, answer](
                                                          absl::StatusOr<v1::SupervisorInfo> info) {
    if (info.ok()) {
      return answer.With(
          [&](v1::StartSupervisorResponse* out) { *out->mutable_supervisor() = *std::move(info); });
    }
    if (!kept->has_parent() || !IsLocalSupervisor(info.status())) {
      return answer.Fail(info.status());
    }
    Route<v1::StartSupervisorRequest, v1::StartSupervisorResponse>(
        context, std::move(*kept), parent, method::kStartSupervisor, context.deadline, answer);
  });
}

void CoordinatorBackend::StopSupervisor(const CallContext& context,
                                        v1::StopSupervisorRequest* request,
                                        Answer<v1::StopSupervisorResponse> answer) {
  OnSupervisor<v1::StopSupervisorRequest, v1::StopSupervisorResponse>(
      context, request, method::kStopSupervisor, std::move(answer),
      [this](const v1::StopSupervisorRequest& r, Reply<v1::StopSupervisorResponse> done) {
        ExitReason reason =
            r.has_reason() ? wire::FromProto(r.reason(), {}) : ExitReason::Shutdown();
        deps_.coordinator->StopSupervisor(
            TargetFrom(r.supervisor()), std::move(reason), r.request_id(),
            Into<v1::StopSupervisorResponse, ExitReason>(
                std::move(done), [](ExitReason why, v1::StopSupervisorResponse* out) {
                  wire::ToProto(why, {}, out->mutable_exit_reason());
                }));
      });
}

void CoordinatorBackend::StartChild(const CallContext& context, v1::StartChildRequest* request,
                                    Answer<v1::StartChildResponse> answer) {
  OnSupervisor<v1::StartChildRequest, v1::StartChildResponse>(
      context, request, method::kStartChild, std::move(answer),
      [this](const v1::StartChildRequest& r, Reply<v1::StartChildResponse> done) {
        StartChildArgs args;
        args.supervisor = TargetFrom(r.supervisor());
        args.request_id = r.request_id();
        if (r.has_spec()) {
          absl::StatusOr<ChildSpec> spec = wire::DecodeChildSpec(r.spec());
          if (!spec.ok()) return done(spec.status());
          args.spec = *std::move(spec);
        }
        for (const v1::Payload& arg : r.extra_args().args()) {
          args.extra_args.push_back(wire::FromProto(arg));
        }
        deps_.coordinator->StartChild(std::move(args), std::move(done));
      });
}

void CoordinatorBackend::TerminateChild(const CallContext& context,
                                        v1::TerminateChildRequest* request,
                                        Answer<v1::TerminateChildResponse> answer) {
  OnSupervisor<v1::TerminateChildRequest, v1::TerminateChildResponse>(
      context, request, method::kTerminateChild, std::move(answer),
      [this](const v1::TerminateChildRequest& r, Reply<v1::TerminateChildResponse> done) {
        deps_.coordinator->TerminateChild(ArgsOf(r), std::move(done));
      });
}

void CoordinatorBackend::RestartChild(const CallContext& context, v1::RestartChildRequest* request,
                                      Answer<v1::RestartChildResponse> answer) {
  OnSupervisor<v1::RestartChildRequest, v1::RestartChildResponse>(
      context, request, method::kRestartChild, std::move(answer),
      [this](const v1::RestartChildRequest& r, Reply<v1::RestartChildResponse> done) {
        deps_.coordinator->RestartChild(ArgsOf(r), r.running_too(), std::move(done));
      });
}

void CoordinatorBackend::DeleteChild(const CallContext& context, v1::DeleteChildRequest* request,
                                     Answer<v1::DeleteChildResponse> answer) {
  OnSupervisor<v1::DeleteChildRequest, v1::DeleteChildResponse>(
      context, request, method::kDeleteChild, std::move(answer),
      [this](const v1::DeleteChildRequest& r, Reply<v1::DeleteChildResponse> done) {
        deps_.coordinator->DeleteChild(ArgsOf(r), [done = std::move(done)](absl::Status status) {
          status.ok() ? done(v1::DeleteChildResponse()) : done(std::move(status));
        });
      });
}

void CoordinatorBackend::GetChildSpec(const CallContext& context, v1::GetChildSpecRequest* request,
                                      Answer<v1::GetChildSpecResponse> answer) {
  OnSupervisor<v1::GetChildSpecRequest, v1::GetChildSpecResponse>(
      context, request, method::kGetChildSpec, std::move(answer),
      [this](const v1::GetChildSpecRequest& r, Reply<v1::GetChildSpecResponse> done) {
        deps_.coordinator->GetChildSpec(
            TargetFrom(r.supervisor()), r.child_id(),
            Into<v1::GetChildSpecResponse, v1::ChildSpec>(
                std::move(done), [](v1::ChildSpec spec, v1::GetChildSpecResponse* out) {
                  *out->mutable_spec() = std::move(spec);
                }));
      });
}

void CoordinatorBackend::ListChildren(const CallContext& context, v1::ListChildrenRequest* request,
                                      Answer<v1::ListChildrenResponse> answer) {
  OnSupervisor<v1::ListChildrenRequest, v1::ListChildrenResponse>(
      context, request, method::kListChildren, std::move(answer),
      [this](const v1::ListChildrenRequest& r, Reply<v1::ListChildrenResponse> done) {
        auto filter = MessageFilter::Parse(r.filter(), *v1::ChildInfo::descriptor());
        if (!filter.ok()) return done(filter.status());
        std::function<bool(const v1::ChildInfo&)> accept;
        if (!filter->empty()) {
          accept = [filter = *filter](const v1::ChildInfo& child) { return filter.Matches(child); };
        }
        deps_.coordinator->ListChildren(TargetFrom(r.supervisor()), {r.page_size(), r.page_token()},
                                        r.include_spec(), std::move(accept), std::move(done));
      });
}

void CoordinatorBackend::CountChildren(const CallContext& context,
                                       v1::CountChildrenRequest* request,
                                       Answer<v1::CountChildrenResponse> answer) {
  OnSupervisor<v1::CountChildrenRequest, v1::CountChildrenResponse>(
      context, request, method::kCountChildren, std::move(answer),
      [this](const v1::CountChildrenRequest& r, Reply<v1::CountChildrenResponse> done) {
        deps_.coordinator->CountChildren(
            TargetFrom(r.supervisor()),
            Into<v1::CountChildrenResponse, v1::ChildCounts>(
                std::move(done), [](v1::ChildCounts c, v1::CountChildrenResponse* out) {
                  *out->mutable_counts() = c;
                }));
      });
}

// Cluster-wide ones first, in pages; on the last page those of the nodes are added.
void CoordinatorBackend::ListSupervisors(const CallContext& context,
                                         v1::ListSupervisorsRequest* request,
                                         Answer<v1::ListSupervisorsResponse> answer) {
  auto filter = MessageFilter::Parse(request->filter(), *v1::SupervisorInfo::descriptor());
  if (!filter.ok()) return answer.Fail(filter.status());
  auto kept = std::make_shared<v1::ListSupervisorsRequest>(std::move(*request));
  std::function<bool(const v1::SupervisorInfo&)> accept;
  if (!filter->empty()) {
    accept = [filter = *filter](const v1::SupervisorInfo& s) { return filter.Matches(s); };
  }
  deps_.coordinator->ListSupervisors(
      {kept->page_size(), kept->page_token()}, kept->all_levels(), std::move(accept),
      [this, context, kept, answer](absl::StatusOr<v1::ListSupervisorsResponse> page) {
        if (!page.ok()) return answer.Fail(page.status());
        if (!page->next_page_token().empty()) return answer.Done(*std::move(page));
        auto out = std::make_shared<v1::ListSupervisorsResponse>(*std::move(page));
        ActiveNodes(
            [this, context, kept, out, answer](absl::StatusOr<std::vector<FanOutNode>> nodes) {
              if (!nodes.ok()) return answer.Done(std::move(*out));
              v1::ListSupervisorsRequest each = *kept;
              each.clear_page_token();
              FanOut<v1::ListSupervisorsRequest, v1::ListSupervisorsResponse>(
                  deps_.forwarder, context, *nodes, method::kListSupervisors, each,
                  [out, nodes = *nodes,
                   answer](std::vector<std::unique_ptr<v1::ListSupervisorsResponse>> answers) {
                    for (size_t i = 0; i < answers.size(); ++i) {
                      if (answers[i] == nullptr) {
                        out->add_unreachable(fmt::format("nodes/{}", nodes[i].name));
                        continue;
                      }
                      out->mutable_supervisors()->MergeFrom(answers[i]->supervisors());
                    }
                    answer.Done(std::move(*out));
                  });
            });
      });
}

// ------------------------------------------------------------------ trees

namespace {

// The local supervisors in a tree whose own parts the coordinator does not have.
void FindLocal(v1::TreeNode* at, uint32_t level,
               std::vector<std::pair<v1::TreeNode*, uint32_t>>* out) {
  const v1::ChildInfo& child = at->child();
  const bool local = child.has_pid() && child.type() == v1::CHILD_TYPE_SUPERVISOR &&
                     !at->supervisor().cluster_wide() && at->children().empty() &&
                     child.state() == v1::CHILD_STATE_RUNNING && !child.node().empty();
  if (local) out->push_back({at, level});
  for (v1::TreeNode& below : *at->mutable_children()) FindLocal(&below, level + 1, out);
}

struct Expansion {
  v1::GetTreeResponse tree;
  Mutex mu;
  size_t waiting ABSL_GUARDED_BY(mu) = 1;
};

}  // namespace

void CoordinatorBackend::ExpandLocalTrees(const CallContext& context, uint32_t depth,
                                          v1::GetTreeResponse tree,
                                          Answer<v1::GetTreeResponse> answer) {
  auto expansion = std::make_shared<Expansion>();
  expansion->tree = std::move(tree);
  std::vector<std::pair<v1::TreeNode*, uint32_t>> local;
  if (context.hops < kForwardsMax) FindLocal(expansion->tree.mutable_root(), 0, &local);
  const auto drop = [expansion, answer] {
    {
      MutexLock lock(&expansion->mu);
      if (--expansion->waiting > 0) return;
    }
    answer.Done(std::move(expansion->tree));
  };
  CallContext limited = context;
  limited.deadline = std::min(context.deadline, deps_.clock->Now() + kFanOutLimit);
  for (auto [node, level] : local) {
    if (depth != 0 && level >= depth) continue;
    {
      MutexLock lock(&expansion->mu);
      ++expansion->waiting;
    }
    v1::Target target;
    *target.mutable_pid() = node->child().pid();
    deps_.coordinator->ResolveTarget(
        TargetFrom(target), limited.deadline,
        [this, limited, expansion, drop, target, depth, node = node,
         level = level](absl::StatusOr<ResolvedTarget> to) {
          if (!to.ok()) return drop();
          v1::GetTreeRequest request;
          *request.mutable_supervisor() = target;
          request.set_depth(depth == 0 ? 0 : depth - level);
          deps_.forwarder->Ask<v1::GetTreeRequest, v1::GetTreeResponse>(
              limited, Hop::kNode, to->address, method::kGetTree, std::move(request),
              [expansion, drop, node, name = to->node](const grpc::Status& status,
                                                       v1::GetTreeResponse* part,
                                                       const grpc::ClientContext&) {
                {
                  MutexLock lock(&expansion->mu);
                  if (status.ok()) {
                    *node->mutable_supervisor() =
                        std::move(*part->mutable_root()->mutable_supervisor());
                    node->mutable_children()->Swap(part->mutable_root()->mutable_children());
                  } else {
                    expansion->tree.add_unreachable(fmt::format("nodes/{}", name));
                  }
                }
                drop();
              });
        });
  }
  drop();
}

void CoordinatorBackend::GetTree(const CallContext& context, v1::GetTreeRequest* request,
                                 Answer<v1::GetTreeResponse> answer) {
  const uint32_t depth = request->depth();
  // Whether the top is cluster-wide shows in the answer; a local one comes back complete.
  const auto kind = request->supervisor().kind_case();
  if (kind == v1::Target::kPid || kind == v1::Target::kLocalName) {
    return Route<v1::GetTreeRequest, v1::GetTreeResponse>(
        context, std::move(*request), SupervisorOf<v1::GetTreeRequest>, method::kGetTree,
        context.deadline, std::move(answer));
  }
  auto kept = std::make_shared<v1::GetTreeRequest>(std::move(*request));
  deps_.coordinator->GetTree(
      TargetFrom(kept->supervisor()), depth,
      [this, context, kept, depth, answer](absl::StatusOr<v1::GetTreeResponse> tree) {
        if (tree.ok()) return ExpandLocalTrees(context, depth, *std::move(tree), answer);
        if (!IsLocalSupervisor(tree.status())) return answer.Fail(tree.status());
        Route<v1::GetTreeRequest, v1::GetTreeResponse>(context, std::move(*kept),
                                                       SupervisorOf<v1::GetTreeRequest>,
                                                       method::kGetTree, context.deadline, answer);
      });
}

void CoordinatorBackend::WaitOperation(const CallContext& context,
                                       v1::WaitOperationRequest* request,
                                       Answer<v1::WaitOperationResponse> answer) {
  // A little before the caller gives up, so that it hears "not done" rather than nothing.
  constexpr absl::Duration kMargin = absl::Milliseconds(50);
  const Instant deadline =
      std::min(context.deadline, deps_.clock->Now() + absl::Minutes(15)) - kMargin;
  deps_.coordinator->WaitOperation(request->operation_id(), deadline, answer);
}

}  // namespace banyan::rpc

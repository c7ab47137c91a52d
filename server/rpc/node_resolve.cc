#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/wire/target.h"
#include "server/rpc/node_backend_routes.h"

namespace banyan::rpc {
namespace {

absl::Status FormerLife(Pid pid) {
  return MakeError("NOPROC",
                   fmt::format("{} belongs to a former life of this node", FormatPid(pid)),
                   {{"target", FormatPid(pid)}});
}

// Nothing is sent before its target is known, whatever became of the question.
absl::Status NotFoundIn(const absl::Status& status) {
  const std::string text(status.message());
  const std::optional<ErrorInfo> info = GetErrorInfo(status);
  if (!info) return status;
  const auto outcome = info->metadata.find("outcome");
  if (outcome == info->metadata.end() || outcome->second != kOutcomeUnknown) return status;
  std::map<std::string, std::string> metadata = info->metadata;
  metadata.erase("outcome");
  if (info->reason == "NOCONNECTION") return MakeError("NOT_DELIVERED", text, std::move(metadata));
  if (info->reason == "CALL_TIMEOUT") return MakeError("CALL_EXPIRED", text, std::move(metadata));
  metadata["outcome"] = std::string(kNotExecuted);
  return MakeError(info->reason, text, std::move(metadata), info->exit_reason);
}

}  // namespace

std::string NodeBackend::Coordinator() const {
  const std::vector<std::string> all = deps_.node->coordinators();
  return all.empty() ? std::string() : all.front();
}

absl::StatusOr<std::string> NodeBackend::AddressOf(uint32_t node_id, uint32_t incarnation) const {
  const auto view = deps_.node->view();
  const ClusterView::Member* member = view->Find(node_id);
  if (member == nullptr) {
    return MakeError("NODE_NOT_FOUND", fmt::format("no node has the number {}", node_id),
                     {{"node", fmt::format("{}", node_id)}});
  }
  if (incarnation != 0 && member->id.incarnation != incarnation) {
    return MakeError("NOPROC",
                     fmt::format("node {} lives its life {} by now, not {}", member->name,
                                 member->id.incarnation, incarnation),
                     {{"target", fmt::format("{}:{}", member->name, incarnation)}});
  }
  return member->address;
}

absl::StatusOr<Pid> NodeBackend::ResolveNow(const v1::Target& target) const {
  const wire::NodeIdentity me = self();
  if (target.kind_case() == v1::Target::kPid) {
    const Pid pid = wire::FromProto(target.pid(), me);
    if (!pid.valid()) return MakeFieldError("TARGET_INVALID", {{"target.pid.id", "must not be 0"}});
    if (!pid.local() && pid.node_id == me.node_id) return FormerLife(pid);
    return pid;
  }
  if (target.kind_case() == v1::Target::kName) {
    if (std::optional<Pid> pid = deps_.runtime->Whereis(target.name())) return *pid;
  }
  absl::StatusOr<Target> decoded = wire::FromProto(target, me);
  return decoded.ok() ? absl::StatusOr<Pid>(Pid{}) : decoded.status();
}

void NodeBackend::AskFor(const CallContext& context, Hop hop, const std::string& address,
                         const v1::Target& target, PidDone done) {
  if (absl::Status hops = CheckHops(context); !hops.ok()) return done(hops);
  v1::WhereisRequest request;
  *request.mutable_target() = target;
  deps_.forwarder->Ask<v1::WhereisRequest, v1::WhereisResponse>(
      context, hop, address, method::kWhereis, std::move(request),
      [this, done = std::move(done)](const grpc::Status& status, v1::WhereisResponse* response,
                                     const grpc::ClientContext&) {
        if (!status.ok()) return done(NotFoundIn(FromGrpcStatus(status, self())));
        done(wire::FromProto(response->pid(), self()));
      });
}

void NodeBackend::AskCoordinatorFor(const CallContext& context, const v1::Target& target,
                                    PidDone done) {
  const std::string address = Coordinator();
  if (address.empty()) {
    return done(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  AskFor(context, Hop::kCoordinator, address, target, std::move(done));
}

void NodeBackend::Locate(const CallContext& context, const v1::Target& target, Instant deadline,
                         PidDone done) {
  absl::StatusOr<Pid> now = ResolveNow(target);
  if (!now.ok() || now->valid()) return done(std::move(now));
  const bool place = target.kind_case() == v1::Target::kChild;
  if (!place && target.kind_case() != v1::Target::kLocalName &&
      target.kind_case() != v1::Target::kGroup) {
    return done(Pid{});
  }
  absl::StatusOr<Target> decoded = wire::FromProto(target, self());
  if (!decoded.ok()) return done(decoded.status());
  deps_.node->ResolveTarget(
      *decoded, deadline,
      [this, context, target, place, text = FormatTarget(*decoded),
       done = std::move(done)](absl::StatusOr<Resolved> resolved) {
        if (resolved.ok() && resolved->pid.valid()) return done(resolved->pid);
        // A name of another node: that node resolves it.
        if (resolved.ok()) return AskFor(context, Hop::kNode, resolved->address, target, done);
        const bool elsewhere = place && ErrorReason(resolved.status()) == "COORDINATOR_UNAVAILABLE";
        if (!elsewhere) return done(resolved.status());
        if (context.hops == 0) return done(Pid{});
        // Whoever passed it on believed it to be here, which a moment later will be mended.
        done(MakeError("NOPROC",
                       fmt::format("{} is not on node {} any more", text, deps_.info.name),
                       {{"target", text}}));
      });
}

void NodeBackend::FindRoute(const CallContext& context, const v1::Target& target,
                            RoutedCalls::Found found) {
  const bool by_cluster_name = target.kind_case() == v1::Target::kName;
  if (absl::StatusOr<Pid> now = ResolveNow(target); by_cluster_name && now.ok() && !now->valid()) {
    return deps_.node->ResolveTarget(
        Target::Named(target.name()), context.deadline,
        [found = std::move(found)](absl::StatusOr<Resolved> resolved) {
          if (!resolved.ok()) return found(NotFoundIn(resolved.status()));
          found(RoutedCalls::Route{resolved->pid, resolved->reg_version});
        });
  }
  ResolvePid(context, target, context.deadline,
             [found = std::move(found)](absl::StatusOr<Pid> pid) {
               if (!pid.ok()) return found(pid.status());
               found(RoutedCalls::Route{*pid});
             });
}

void NodeBackend::ResolvePid(const CallContext& context, const v1::Target& target, Instant deadline,
                             PidDone done) {
  absl::StatusOr<Pid> now = ResolveNow(target);
  if (!now.ok() || now->valid()) return done(std::move(now));
  if (target.kind_case() != v1::Target::kName) {
    return Locate(context, target, deadline,
                  [this, context, target, done = std::move(done)](absl::StatusOr<Pid> pid) {
                    if (!pid.ok() || pid->valid()) return done(std::move(pid));
                    AskCoordinatorFor(context, target, done);
                  });
  }
  deps_.node->ResolveTarget(Target::Named(target.name()), deadline,
                            [done = std::move(done)](absl::StatusOr<Resolved> resolved) {
                              if (!resolved.ok()) return done(resolved.status());
                              done(resolved->pid);
                            });
}

}  // namespace banyan::rpc

#pragma once

#include <memory>
#include <string>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/wire/pid.h"
#include "common/wire/target.h"
#include "server/rpc/coordinator_backend.h"
#include "server/rpc/method_names.h"

// The templates of CoordinatorBackend, for its own files.

namespace banyan::rpc {

// What the platform says of the request; nothing of what its target said.
struct RouteVerdict {
  RouteVerdict(const grpc::Status& status, const grpc::ClientContext& client) {
    if (FromActor(client)) return;
    const absl::Status error = FromGrpcStatus(status);
    ErrorInfo info = GetErrorInfo(error).value_or(ErrorInfo());
    const std::string& outcome = info.metadata["outcome"];
    not_executed = outcome == kNotExecuted;
    unknown = outcome == kOutcomeUnknown;
    moved = TargetMoved(info);
    // A node that was reached has tried itself.
    lost = info.reason == "NOCONNECTION" && !FromServer(client);
  }
  bool not_executed = false;
  bool unknown = false;
  bool moved = false;
  bool lost = false;
};

template <typename Request>
bool IsIdempotent(const Request&) {
  return false;
}
inline bool IsIdempotent(const v1::CallRequest& request) { return request.idempotent(); }

// A target that was validated; the coordinator's own form of pids is that of the wire.
inline Target TargetFrom(const v1::Target& target) {
  absl::StatusOr<Target> decoded = wire::FromProto(target, {});
  return decoded.ok() ? *std::move(decoded) : Target{};
}

// Puts what the target was resolved to in its place; one that goes on below a local supervisor
// stays, since only that supervisor's node knows the rest of the way.
inline void WriteTarget(const ResolvedTarget& to, v1::Target* out) {
  if (!to.rest.empty()) return;
  out->Clear();
  if (to.pid.valid()) {
    wire::ToProto(to.pid, {}, out->mutable_pid());
  } else {
    out->mutable_local_name()->set_node(to.node);
    out->mutable_local_name()->set_name(to.local_name);
  }
}

// The coordinator's word for "a process on a node": that node must be asked.
inline bool IsLocalSupervisor(const absl::Status& status) {
  const std::optional<ErrorInfo> info = GetErrorInfo(status);
  return info && info->reason == "NOT_A_SUPERVISOR" && info->metadata.contains("local");
}

template <typename Request, typename Response>
void CoordinatorBackend::Route(const CallContext& context, Request request,
                               v1::Target* (*target_of)(Request*), const char* method,
                               Instant deadline, Answer<Response> answer, CallTries tries) {
  if (absl::Status hops = CheckHops(context); !hops.ok()) return answer.Fail(hops);
  absl::StatusOr<Target> target = wire::FromProto(*target_of(&request), {});
  if (!target.ok()) return answer.Fail(target.status());
  const bool by_pid = target->pid() != nullptr;
  deps_.coordinator->ResolveTarget(
      *std::move(target), deadline,
      [this, context, request = std::move(request), target_of, method, deadline, answer, tries,
       by_pid](absl::StatusOr<ResolvedTarget> to) mutable {
        if (!to.ok())
          return answer.Fail(tries.may_have_run ? MayHaveRun(to.status()) : to.status());
        const bool last = !IsIdempotent(request) && (by_pid || tries.moves >= CallTries::kMovesMax);
        // Kept for another try only where there can be one.
        auto kept = last ? nullptr : std::make_shared<Request>(request);
        WriteTarget(*to, target_of(&request));
        const auto asked = deps_.forwarder->Ask<Request, Response>(
            context, Hop::kNode, to->address, method, std::move(request),
            [this, context, kept, target_of, method, deadline, answer, tries, by_pid](
                const grpc::Status& status, Response* response,
                const grpc::ClientContext& client) mutable {
              if (status.ok()) return answer.Done(std::move(*response));
              const RouteVerdict verdict(status, client);
              const bool move = verdict.moved && !by_pid && tries.moves < CallTries::kMovesMax;
              const bool repeat = verdict.lost && kept != nullptr && IsIdempotent(*kept);
              const Instant again = deps_.clock->Now() + tries.Pause(move, &random_);
              if (kept == nullptr || answer.closed() || again >= deadline || !(move || repeat) ||
                  (!move && !MayRepeat())) {
                if (!tries.may_have_run || !verdict.not_executed)
                  return Forwarder::PassError(answer, status, client);
                return answer.Fail(MayHaveRun(FromGrpcStatus(status)));
              }
              ++(move ? tries.moves : tries.repeats);
              tries.may_have_run |= verdict.unknown;
              deps_.timers->ScheduleAt(
                  again, [this, context, kept, target_of, method, deadline, answer, tries] {
                    if (answer.closed()) return;
                    Route<Request, Response>(context, *kept, target_of, method, deadline, answer,
                                             tries);
                  });
            });
        answer.OnGivenUp([asked] {
          if (const std::shared_ptr<grpc::ClientContext> open = asked.lock()) open->TryCancel();
        });
      });
}

template <typename Request>
v1::Target* TargetOf(Request* request) {
  return request->mutable_target();
}
template <typename Request>
v1::Target* SupervisorOf(Request* request) {
  return request->mutable_supervisor();
}

template <typename Request, typename Response>
void CoordinatorBackend::OnSupervisor(const CallContext& context, Request* request,
                                      const char* method, Answer<Response> answer,
                                      std::function<void(const Request&, Reply<Response>)> here) {
  const auto kind = request->supervisor().kind_case();
  if (kind == v1::Target::kPid || kind == v1::Target::kLocalName) {
    return Route<Request, Response>(context, std::move(*request), SupervisorOf<Request>, method,
                                    context.deadline, std::move(answer));
  }
  auto kept = std::make_shared<Request>(std::move(*request));
  here(*kept, [this, context, kept, method, answer](absl::StatusOr<Response> result) {
    if (result.ok()) return answer.Done(*std::move(result));
    if (!IsLocalSupervisor(result.status())) return answer.Fail(result.status());
    Route<Request, Response>(context, std::move(*kept), SupervisorOf<Request>, method,
                             context.deadline, answer);
  });
}

}  // namespace banyan::rpc

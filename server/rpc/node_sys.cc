#include <algorithm>
#include <memory>
#include <utility>

#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "common/wire/time.h"
#include "common/wire/utf8.h"
#include "server/behaviours/sys.h"
#include "server/rpc/actor_codec.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/node_backend_routes.h"

namespace banyan::rpc {
namespace {

void Encode(const SysEvent& in, const wire::NodeIdentity& self, v1::SysEvent* out) {
  out->set_kind(std::string(SysEventKindName(in.kind)));
  out->set_text(wire::Utf8(FormatSysEvent(in)));
  out->set_message_type(std::string(in.content.type_name()));
  if (in.peer) wire::ToProto(in.peer, self, out->mutable_peer());
}

void Encode(const SysStatus& in, const wire::NodeIdentity& self, v1::GetStatusResponse* out) {
  out->set_state_name(wire::Utf8(in.view.state_name));
  for (const auto& [key, text] : in.view.items)
    (*out->mutable_items())[wire::Utf8(key)] = wire::Utf8(text);
  for (const SysEvent& event : in.view.log) Encode(event, self, out->add_log());
  out->set_engine(in.engine);
  for (const std::string& on : in.debug) out->add_debug(wire::Utf8(on));
  if (!in.state.empty() && !wire::ToProto(in.state, out->mutable_state()).ok()) out->clear_state();
  for (const Pid& pid : in.ancestors) wire::ToProto(pid, self, out->add_ancestors());
  out->set_note(wire::Utf8(in.note));
}

}  // namespace

template <typename Request, typename Response>
void NodeBackend::OnProcess(const CallContext& context, Request* request, const char* method,
                            Answer<Response> answer,
                            std::function<void(Request, Pid, Answer<Response>)> here) {
  auto kept = std::make_shared<Request>(std::move(*request));
  ResolvePid(
      context, kept->target(), context.deadline,
      [this, context, kept, method, answer, here = std::move(here)](absl::StatusOr<Pid> pid) {
        if (!pid.ok()) return answer.Fail(pid.status(), self());
        if (pid->local()) return here(std::move(*kept), *pid, answer);
        PassToNode(context, *pid, method, kept.get(), kept->mutable_target(), answer);
      });
}

template <typename Response>
void NodeBackend::AskSys(const CallContext& context, Pid pid, SysRequest request,
                         Answer<Response> answer,
                         std::function<absl::Status(const Payload&, Response*)> fill) {
  const Instant deadline = SysDeadline(context, deps_.clock->Now());
  sys::Request(*deps_.runtime, pid, std::move(request), deadline,
               [this, answer, fill = std::move(fill)](absl::StatusOr<Payload> reply, Pid) {
                 if (!reply.ok()) return answer.Fail(reply.status(), self());
                 answer.With([&](Response* out) { return fill(*reply, out); }, self());
               });
}

// The answer to a request whose answer says who it was.
template <typename Response>
std::function<absl::Status(const Payload&, Response*)> NodeBackend::Who(Pid pid) const {
  return [this, pid](const Payload&, Response* out) {
    wire::ToProto(pid, self(), out->mutable_pid());
    return absl::OkStatus();
  };
}

void NodeBackend::GetState(const CallContext& context, v1::GetStateRequest* request,
                           Answer<v1::GetStateResponse> answer) {
  OnProcess<v1::GetStateRequest, v1::GetStateResponse>(
      context, request, method::kGetState, answer,
      [this, context](v1::GetStateRequest, Pid pid, Answer<v1::GetStateResponse> to) {
        AskSys<v1::GetStateResponse>(context, pid, SysRequest::Of(SysRequest::Op::kGetState), to,
                                     [this, pid](const Payload& state, v1::GetStateResponse* out) {
                                       if (!wire::ToProto(state, out->mutable_state()).ok())
                                         return MakeError("STATE_NOT_ACCESSIBLE",
                                                          "the state is no message");
                                       wire::ToProto(pid, self(), out->mutable_pid());
                                       return absl::OkStatus();
                                     });
      });
}

void NodeBackend::ReplaceState(const CallContext& context, v1::ReplaceStateRequest* request,
                               Answer<v1::ReplaceStateResponse> answer) {
  OnProcess<v1::ReplaceStateRequest, v1::ReplaceStateResponse>(
      context, request, method::kReplaceState, answer,
      [this, context](v1::ReplaceStateRequest moved, Pid pid, Answer<v1::ReplaceStateResponse> to) {
        SysRequest replace = SysRequest::Of(SysRequest::Op::kReplaceState);
        replace.payload = wire::FromProto(std::move(*moved.mutable_state()));
        AskSys<v1::ReplaceStateResponse>(context, pid, std::move(replace), to,
                                         [](const Payload& state, v1::ReplaceStateResponse* out) {
                                           if (!wire::ToProto(state, out->mutable_state()).ok())
                                             out->clear_state();
                                           return absl::OkStatus();
                                         });
      });
}

void NodeBackend::GetStatus(const CallContext& context, v1::GetStatusRequest* request,
                            Answer<v1::GetStatusResponse> answer) {
  const auto ask = [this, context](v1::GetStatusRequest, Pid pid,
                                   Answer<v1::GetStatusResponse> to) {
    deps_.runtime->Inspect(pid, [this, context, pid, to](std::optional<ProcessSnapshot> facts) {
      AskSys<v1::GetStatusResponse>(
          context, pid, SysRequest::Of(SysRequest::Op::kGetStatus), to,
          [this, facts = std::move(facts)](const Payload& answer, v1::GetStatusResponse* out) {
            const SysStatus* status = answer.As<SysStatus>();
            if (!status) return MakeError("CALL_NOT_HANDLED", "the process has no status");
            if (facts) EncodeActor(*facts, self(), deps_.info.name, out->mutable_actor());
            Encode(*status, self(), out);
            return absl::OkStatus();
          });
    });
  };
  OnProcess<v1::GetStatusRequest, v1::GetStatusResponse>(context, request, method::kGetStatus,
                                                         answer, ask);
}

void NodeBackend::Suspend(const CallContext& context, v1::SuspendRequest* request,
                          Answer<v1::SuspendResponse> answer) {
  OnProcess<v1::SuspendRequest, v1::SuspendResponse>(
      context, request, method::kSuspend, answer,
      [this, context](v1::SuspendRequest moved, Pid pid, Answer<v1::SuspendResponse> to) {
        AskSys<v1::SuspendResponse>(context, pid, SysRequest::Of(SysRequest::Op::kSuspend), to,
                                    Who<v1::SuspendResponse>(pid));
        if (!moved.has_max_duration()) return;
        deps_.timers->ScheduleAt(
            deps_.clock->Now() + wire::FromProto(moved.max_duration()), [this, pid] {
              sys::Request(*deps_.runtime, pid, SysRequest::Of(SysRequest::Op::kResume),
                           Instant::Infinite(), [](const absl::StatusOr<Payload>&, Pid) {});
            });
      });
}

void NodeBackend::Resume(const CallContext& context, v1::ResumeRequest* request,
                         Answer<v1::ResumeResponse> answer) {
  const auto ask = [this, context](v1::ResumeRequest, Pid pid, Answer<v1::ResumeResponse> to) {
    deps_.runtime->Inspect(pid, [this, context, pid, to](std::optional<ProcessSnapshot> facts) {
      const uint64_t waiting = facts ? facts->mailbox_length : 0;
      AskSys<v1::ResumeResponse>(context, pid, SysRequest::Of(SysRequest::Op::kResume), to,
                                 [waiting](const Payload&, v1::ResumeResponse* out) {
                                   out->set_mailbox_length(waiting);
                                   return absl::OkStatus();
                                 });
    });
  };
  OnProcess<v1::ResumeRequest, v1::ResumeResponse>(context, request, method::kResume, answer, ask);
}

void NodeBackend::SetDebug(const CallContext& context, v1::SetDebugRequest* request,
                           Answer<v1::SetDebugResponse> answer) {
  OnProcess<v1::SetDebugRequest, v1::SetDebugResponse>(
      context, request, method::kSetDebug, answer,
      [this, context](v1::SetDebugRequest moved, Pid pid, Answer<v1::SetDebugResponse> to) {
        DebugOption log =
            moved.log_events() > 0 ? DebugOption::Log(moved.log_events()) : DebugOption::LogOff();
        DebugOption statistics = DebugOption::Statistics(moved.statistics());
        // Both go off at once: they arrive in order, and the answer to the last is that to both.
        if (moved.has_log_events() && moved.has_statistics()) {
          sys::Request(*deps_.runtime, pid, SysRequest::Of(std::move(statistics)),
                       Instant::Infinite(), [](const absl::StatusOr<Payload>&, Pid) {});
        }
        AskSys<v1::SetDebugResponse>(
            context, pid,
            SysRequest::Of(moved.has_log_events() ? std::move(log) : std::move(statistics)), to,
            Who<v1::SetDebugResponse>(pid));
      });
}

void NodeBackend::GetStatistics(const CallContext& context, v1::GetStatisticsRequest* request,
                                Answer<v1::GetStatisticsResponse> answer) {
  const auto ask = [this, context](v1::GetStatisticsRequest, Pid pid,
                                   Answer<v1::GetStatisticsResponse> to) {
    AskSys<v1::GetStatisticsResponse>(
        context, pid, SysRequest::Of(DebugOption::Of(DebugOption::Kind::kStatisticsGet)), to,
        [this, pid](const Payload& answer, v1::GetStatisticsResponse* out) {
          wire::ToProto(pid, self(), out->mutable_pid());
          const auto* counted = answer.As<std::optional<SysStatistics>>();
          if (!counted || !*counted) return absl::OkStatus();
          const SysStatistics& s = **counted;
          out->set_on(true);
          *out->mutable_start_time() = wire::ToProto(s.start_time);
          out->set_messages_in(s.messages_in);
          out->set_messages_out(s.messages_out);
          out->set_reductions(s.reductions);
          return absl::OkStatus();
        });
  };
  OnProcess<v1::GetStatisticsRequest, v1::GetStatisticsResponse>(
      context, request, method::kGetStatistics, answer, ask);
}

void NodeBackend::ChangeCode(const CallContext& context, v1::ChangeCodeRequest* request,
                             Answer<v1::ChangeCodeResponse> answer) {
  OnProcess<v1::ChangeCodeRequest, v1::ChangeCodeResponse>(
      context, request, method::kChangeCode, answer,
      [this, context](v1::ChangeCodeRequest moved, Pid pid, Answer<v1::ChangeCodeResponse> to) {
        SysRequest change = SysRequest::Of(SysRequest::Op::kChangeCode);
        change.change.old_version = moved.old_version();
        change.change.down = moved.down();
        if (moved.has_extra())
          change.change.extra = wire::FromProto(std::move(*moved.mutable_extra()));
        AskSys<v1::ChangeCodeResponse>(context, pid, std::move(change), to,
                                       Who<v1::ChangeCodeResponse>(pid));
      });
}

void NodeBackend::Terminate(const CallContext& context, v1::TerminateRequest* request,
                            Answer<v1::TerminateResponse> answer) {
  OnProcess<v1::TerminateRequest, v1::TerminateResponse>(
      context, request, method::kTerminate, answer,
      [this, context](v1::TerminateRequest moved, Pid pid, Answer<v1::TerminateResponse> to) {
        SysRequest terminate = SysRequest::Of(SysRequest::Op::kTerminate);
        terminate.reason =
            moved.has_reason() ? wire::FromProto(moved.reason(), self()) : ExitReason::Shutdown();
        AskSys<v1::TerminateResponse>(context, pid, std::move(terminate), to,
                                      Who<v1::TerminateResponse>(pid));
      });
}

}  // namespace banyan::rpc

#include <algorithm>
#include <memory>
#include <utility>

#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "common/wire/target.h"
#include "common/wire/time.h"
#include "server/node/routed_calls.h"
#include "server/rpc/actor_codec.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/fan_out.h"
#include "server/rpc/filter.h"
#include "server/rpc/node_backend_routes.h"
#include "server/wire/child_spec.h"

namespace banyan::rpc {
// ------------------------------------------------------------------ Call

Runtime::CallDone NodeBackend::Replies(Answer<v1::CallResponse> answer) {
  return [this, answer = std::move(answer)](absl::StatusOr<Payload> reply, Pid callee) {
    const wire::NodeIdentity me = self();
    if (!reply.ok()) return answer.Fail(reply.status(), me);
    answer.With(
        [&](v1::CallResponse* out) {
          wire::ToProto(callee, me, out->mutable_pid());
          return wire::ToProto(*reply, out->mutable_payload());
        },
        me);
  };
}

void NodeBackend::Call(const CallContext& context, v1::CallRequest* request,
                       Answer<v1::CallResponse> answer) {
  const Instant deadline = CallDeadline(context, *request, deps_.clock->Now());
  absl::StatusOr<Pid> pid = ResolveNow(request->target());
  if (!pid.ok()) return answer.Fail(pid.status());
  Payload payload = wire::FromProto(std::move(*request->mutable_payload()));
  const bool by_pid = request->target().kind_case() == v1::Target::kPid;
  if (by_pid && !request->idempotent()) {
    // Nothing can come of it but one send.
    const Ref call = deps_.runtime->NewCall();
    answer.OnGivenUp([runtime = deps_.runtime, call] { runtime->CancelCall(call); });
    deps_.runtime->Call(*pid, std::move(payload), deadline, Replies(std::move(answer)),
                        {.ref = call});
    return;
  }
  RoutedCalls::Request call;
  call.payload = std::move(payload);
  call.deadline = deadline;
  call.idempotent = request->idempotent();
  call.done = Replies(answer);
  if (!by_pid) {
    auto target = std::make_shared<const v1::Target>(std::move(*request->mutable_target()));
    CallContext limited = context;
    limited.deadline = deadline;
    call.find = [this, limited, target](RoutedCalls::Found found) {
      FindRoute(limited, *target, std::move(found));
    };
    if (target->kind_case() == v1::Target::kName)
      call.forget = [this, target] { deps_.node->ForgetRoute(target->name()); };
  }
  const auto open = deps_.node->calls().Start(std::move(call), {*pid});
  answer.OnGivenUp([open] { RoutedCalls::Cancel(open); });
}

// ---------------------------------------------------------- Cast and Send

void NodeBackend::Deliver(Pid pid, Payload payload, bool cast) {
  cast ? deps_.runtime->Cast(pid, std::move(payload))
       : deps_.runtime->Send(pid, std::move(payload));
}

// ACK_ACCEPTED: taken, whether or not anybody is there. ACK_ENQUEUED: in the mailbox of a process
// that lives, as far as its own node can tell at that moment.
template <typename Request, typename Response>
void NodeBackend::OneWay(const CallContext& context, Request* request, bool cast,
                         Answer<Response> answer) {
  const bool enqueued = request->ack() == v1::ACK_ENQUEUED;
  absl::StatusOr<Pid> now = ResolveNow(request->target());
  if (!now.ok() && ErrorReason(now.status()) == "TARGET_INVALID") return answer.Fail(now.status());
  if (now.ok() && now->valid() && !now->local() && enqueued) {
    return PassToNode(context, *now, cast ? method::kCast : method::kSend, request,
                      request->mutable_target(), answer);
  }
  Payload payload = wire::FromProto(std::move(*request->mutable_payload()));
  const Instant deadline = std::min(context.deadline, deps_.clock->Now() + kDefaultCallTimeout);
  ResolvePid(context, request->target(), deadline,
             [this, enqueued, cast, payload = std::move(payload), answer](absl::StatusOr<Pid> pid) {
               if (pid.ok() && enqueued && pid->local()) {
                 const absl::Status put = deps_.runtime->Put(
                     *pid, payload, cast ? SignalKind::kCast : SignalKind::kMessage);
                 return put.ok() ? answer.Done({}) : answer.Fail(put, self());
               }
               if (!pid.ok() && enqueued) return answer.Fail(pid.status(), self());
               if (pid.ok()) Deliver(*pid, payload, cast);
               if (enqueued) answer.Done({});
             });
  if (!enqueued) answer.Done({});
}

void NodeBackend::Cast(const CallContext& context, v1::CastRequest* request,
                       Answer<v1::CastResponse> answer) {
  OneWay(context, request, true, std::move(answer));
}

void NodeBackend::Send(const CallContext& context, v1::SendRequest* request,
                       Answer<v1::SendResponse> answer) {
  if (!request->has_delay()) return OneWay(context, request, false, std::move(answer));
  absl::StatusOr<Target> target = wire::FromProto(request->target(), self());
  if (!target.ok()) return answer.Fail(target.status());
  CallContext later = context;
  later.deadline = Instant::Infinite();
  Payload payload = wire::FromProto(std::move(*request->mutable_payload()));
  const Timers::Id timer = deps_.timers->ScheduleAt(
      deps_.clock->Now() + wire::FromProto(request->delay()),
      [this, later, target = request->target(), payload = std::move(payload)] {
        ResolvePid(later, target, deps_.clock->Now() + kDefaultCallTimeout,
                   [this, payload](absl::StatusOr<Pid> pid) {
                     if (pid.ok()) Deliver(*pid, payload, false);
                   });
      });
  answer.With([&](v1::SendResponse* out) {
    out->mutable_timer()->set_node_id(self().node_id);
    out->mutable_timer()->set_incarnation(self().incarnation);
    out->mutable_timer()->set_id(timer);
  });
}

// ----------------------------------------------------------------- Spawn

// A Spawn that this node carries out.
struct NodeBackend::Spawning {
  CallContext context;
  StartSpec start;
  v1::Pid link_to;
  std::shared_ptr<SpawnRequests::Entry> entry;  // null: no request id
  SpawnRequests::Done done;                     // without one
};

void NodeBackend::Spawn(const CallContext& context, v1::SpawnRequest* request,
                        Answer<v1::SpawnResponse> answer) {
  absl::StatusOr<StartSpec> start = wire::DecodeStartSpec(request->start());
  if (!start.ok()) return answer.Fail(start.status());
  const std::string& node = request->placement().node();
  if (!node.empty() && node != deps_.info.name) {
    const std::optional<ClusterView::Member> member = deps_.node->FindNode(node);
    if (!member || member->gone()) {
      return answer.Fail(
          MakeError("NODE_NOT_FOUND", fmt::format("there is no node {}", node), {{"node", node}}));
    }
    return deps_.forwarder->Pass(context, Hop::kNode, member->address, method::kSpawn,
                                 std::move(*request), std::move(answer));
  }
  // Before anything is looked at that may have changed since the first time.
  SpawnRequests::Done done = [this, answer](const absl::StatusOr<v1::SpawnResponse>& result) {
    result.ok() ? answer.Done(*result) : answer.Fail(result.status(), self());
  };
  std::shared_ptr<SpawnRequests::Entry> entry;
  if (!request->request_id().empty()) {
    entry = spawns_.Begin(*request, deps_.clock->Now(), done);
    if (entry == nullptr) return;
  }
  auto spawning = std::make_shared<Spawning>(
      Spawning{context, *std::move(start), request->link_to(), std::move(entry), std::move(done)});
  if (deps_.modules->Find(spawning->start.module) == nullptr) {
    return RefuseSpawn(
        *spawning,
        MakeError("NO_NODE_FITS",
                  fmt::format("node {} has no module {}", deps_.info.name, spawning->start.module),
                  {{"module", spawning->start.module}, {"node", deps_.info.name}}));
  }
  if (!request->has_link_to()) return SpawnHere(spawning, Pid());
  FindLinked(spawning);
}

void NodeBackend::RefuseSpawn(const Spawning& spawning, const absl::Status& status) {
  spawning.entry != nullptr ? spawns_.Refuse(spawning.entry, status) : spawning.done(status);
}

// Whether there is such a process is asked first-hand, so that a mistake is an error and no process
// that starts and ends. What happens to it after that comes over the link.
void NodeBackend::FindLinked(std::shared_ptr<Spawning> spawning) {
  const auto refuse = [this, spawning](const absl::Status& status) {
    ErrorInfo field;
    field.metadata["field"] = "link_to";
    RefuseSpawn(*spawning, WithErrorInfo(status, field));
  };
  v1::Target target;
  *target.mutable_pid() = spawning->link_to;
  const absl::StatusOr<Pid> pid = ResolveNow(target);
  if (!pid.ok()) return refuse(pid.status());
  if (pid->local()) {
    if (deps_.runtime->IsAlive(*pid)) return SpawnHere(std::move(spawning), *pid);
    return refuse(MakeError("NOPROC", fmt::format("there is no process {}", FormatPid(*pid)),
                            {{"target", FormatPid(*pid)}}));
  }
  const absl::StatusOr<std::string> address = AddressOf(pid->node_id, pid->incarnation);
  if (!address.ok()) return refuse(address.status());
  CallContext limited = spawning->context;
  limited.deadline = std::min(limited.deadline, deps_.clock->Now() + kDefaultCallTimeout);
  AskFor(limited, Hop::kNode, *address, target,
         [this, spawning, refuse](const absl::StatusOr<Pid>& found) {
           found.ok() ? SpawnHere(spawning, *found) : refuse(found.status());
         });
}

void NodeBackend::SpawnHere(std::shared_ptr<Spawning> spawning, Pid link_to) {
  StartContext how;
  how.link = false;
  how.link_to = how.parent = link_to;
  StartSpec start = std::move(spawning->start);
  StartModule(*deps_.runtime, std::move(start), how, [this, spawning](const StartResult& result) {
    const absl::StatusOr<v1::SpawnResponse> out = SpawnAnswer(result, self());
    spawning->entry != nullptr ? spawns_.Finish(spawning->entry, out) : spawning->done(out);
  });
}

// ------------------------------------------------------------------ Exit

void NodeBackend::Exit(const CallContext& context, v1::ExitRequest* request,
                       Answer<v1::ExitResponse> answer) {
  if (request->has_reason() && request->reason().kind() == v1::ExitReason::KIND_UNSPECIFIED) {
    return answer.Fail(MakeFieldError("REQUEST_INVALID", {{"reason.kind", "must be set"}}));
  }
  ExitReason reason =
      request->has_reason() ? wire::FromProto(request->reason(), self()) : ExitReason::Shutdown();
  ResolvePid(context, request->target(), context.deadline,
             [this, context, reason = std::move(reason), wait = request->wait(),
              answer](absl::StatusOr<Pid> pid) {
               // A process that is gone: succeeds, as in OTP; the answer says so.
               if (!pid.ok() && ErrorReason(pid.status()) == "NOPROC") {
                 return answer.With([&](v1::ExitResponse* out) {
                   if (wait)
                     wire::ToProto(ExitReason::NoProc(), self(), out->mutable_exit_reason());
                 });
               }
               if (!pid.ok()) return answer.Fail(pid.status(), self());
               ExitPid(context, *pid, reason, wait, answer);
             });
}

void NodeBackend::ExitPid(const CallContext& context, Pid pid, ExitReason reason, bool wait,
                          Answer<v1::ExitResponse> answer) {
  if (!wait) {
    deps_.runtime->Exit(pid, std::move(reason));
    return answer.With(
        [&](v1::ExitResponse* out) { wire::ToProto(pid, self(), out->mutable_pid()); });
  }
  const Ref ref = deps_.runtime->Monitor(pid, [this, answer](Pid gone, ExitReason why) {
    answer.With([&](v1::ExitResponse* out) {
      wire::ToProto(gone, self(), out->mutable_pid());
      wire::ToProto(why, self(), out->mutable_exit_reason());
    });
  });
  deps_.timers->ScheduleAt(context.deadline, [this, ref, answer] {
    if (deps_.runtime->Demonitor(ref)) {
      answer.Fail(absl::DeadlineExceededError("the process has not ended yet"));
    }
  });
  deps_.runtime->Exit(pid, std::move(reason));
}

// --------------------------------------------------- Whereis and GetActor

void NodeBackend::Whereis(const CallContext& context, v1::WhereisRequest* request,
                          Answer<v1::WhereisResponse> answer) {
  ResolvePid(context, request->target(), context.deadline, [this, answer](absl::StatusOr<Pid> pid) {
    if (pid.ok() && pid->local() && !deps_.runtime->IsAlive(*pid)) {
      pid = MakeError("NOPROC", fmt::format("there is no process {}", FormatPid(*pid)),
                      {{"target", FormatPid(*pid)}});
    }
    if (!pid.ok()) return answer.Fail(pid.status(), self());
    answer.With([&](v1::WhereisResponse* out) { wire::ToProto(*pid, self(), out->mutable_pid()); });
  });
}

void NodeBackend::GetActor(const CallContext& context, v1::GetActorRequest* request,
                           Answer<v1::GetActorResponse> answer) {
  auto kept = std::make_shared<v1::GetActorRequest>(std::move(*request));
  ResolvePid(context, kept->target(), context.deadline,
             [this, context, kept, answer](absl::StatusOr<Pid> pid) {
               if (!pid.ok()) return answer.Fail(pid.status(), self());
               if (!pid->local()) {
                 return PassToNode(context, *pid, method::kGetActor, kept.get(),
                                   kept->mutable_target(), answer);
               }
               deps_.runtime->Inspect(*pid, [this, pid = *pid,
                                             answer](std::optional<ProcessSnapshot> snapshot) {
                 if (!snapshot) {
                   return answer.Fail(
                       MakeError("NOPROC", fmt::format("there is no process {}", FormatPid(pid)),
                                 {{"target", FormatPid(pid)}}),
                       self());
                 }
                 answer.With([&](v1::GetActorResponse* out) {
                   EncodeActor(*snapshot, self(), deps_.info.name, out->mutable_actor());
                 });
               });
             });
}

// ------------------------------------------------------------ ListActors

absl::StatusOr<v1::ListActorsResponse> NodeBackend::ListHere(
    const v1::ListActorsRequest& request) const {
  absl::StatusOr<MessageFilter> filter =
      MessageFilter::Parse(request.filter(), *v1::ActorInfo::descriptor());
  if (!filter.ok()) return filter.status();
  absl::StatusOr<std::optional<ActorCursor>> after =
      DecodeActorToken(request.page_token(), ConditionsOf(request));
  if (!after.ok()) return after.status();
  const wire::NodeIdentity me = self();
  v1::ListActorsResponse out;
  v1::ActorInfo actor;
  for (const ProcessSnapshot& process : deps_.runtime->List()) {
    if (*after && ActorCursor{me.node_id, process.pid.id} <= **after) continue;
    actor.Clear();
    EncodeActor(process, me, deps_.info.name, &actor);
    if (filter->Matches(actor)) *out.add_actors() = actor;
  }
  PageActors(request, false, &out);
  return out;
}

void NodeBackend::ListActors(const CallContext& context, v1::ListActorsRequest* request,
                             Answer<v1::ListActorsResponse> answer) {
  // Asked by another server: only for itself.
  if (context.hops > 0) return answer(ListHere(*request));
  auto kept = std::make_shared<v1::ListActorsRequest>(std::move(*request));
  v1::ListActorsRequest each = *kept;
  each.clear_read_mask();
  absl::StatusOr<v1::ListActorsResponse> here = ListHere(each);
  if (!here.ok()) return answer.Fail(here.status());
  std::vector<FanOutNode> nodes;
  for (const auto& [id, member] : deps_.node->view()->members()) {
    if (!member.gone() && member.name != deps_.info.name)
      nodes.push_back({member.name, member.address});
  }
  FanOut<v1::ListActorsRequest, v1::ListActorsResponse>(
      deps_.forwarder, context, nodes, method::kListActors, each,
      [this, kept, nodes, answer,
       here = std::make_shared<v1::ListActorsResponse>(*std::move(here))](
          std::vector<std::unique_ptr<v1::ListActorsResponse>> answers) mutable {
        nodes.push_back({deps_.info.name, ""});
        answers.push_back(std::make_unique<v1::ListActorsResponse>(std::move(*here)));
        answer.With([&](v1::ListActorsResponse* out) {
          MergeActors(*kept, std::move(nodes), std::move(answers), out);
        });
      });
}

// --------------------------------------------------------------- Monitor

namespace {

// The monitors of one stream.
struct Watched {
  Mutex mu;
  bool over ABSL_GUARDED_BY(mu) = false;
  size_t open ABSL_GUARDED_BY(mu) = 0;
  std::vector<Ref> refs ABSL_GUARDED_BY(mu);
};

}  // namespace

void NodeBackend::Monitor(const CallContext& context, v1::MonitorRequest* request,
                          EventStreamPtr<v1::MonitorResponse> stream) {
  auto watched = std::make_shared<Watched>();
  {
    MutexLock lock(&watched->mu);
    watched->open = static_cast<size_t>(request->targets_size());
  }
  stream->SetCallbacks(
      [this, watched] {
        std::vector<Ref> refs;
        {
          MutexLock lock(&watched->mu);
          watched->over = true;
          refs.swap(watched->refs);
        }
        for (Ref ref : refs) deps_.runtime->Demonitor(ref);
      },
      nullptr);
  const auto down = [this, watched, stream](uint32_t index, Pid pid, const ExitReason& reason) {
    v1::MonitorResponse event;
    event.set_index(index);
    if (pid.valid()) wire::ToProto(pid, self(), event.mutable_down()->mutable_pid());
    wire::ToProto(reason, self(), event.mutable_down()->mutable_reason());
    *event.mutable_down()->mutable_time() = wire::ToProto(deps_.clock->WallNow());
    stream->Write(std::move(event));
    MutexLock lock(&watched->mu);
    if (--watched->open == 0) stream->Close(absl::OkStatus());
  };
  for (int i = 0; i < request->targets_size(); ++i) {
    const uint32_t index = static_cast<uint32_t>(i);
    ResolvePid(context, request->targets(i), deps_.clock->Now() + kDefaultCallTimeout,
               [this, watched, stream, down, index](absl::StatusOr<Pid> pid) {
                 if (!pid.ok() && pid.status().code() != absl::StatusCode::kNotFound) {
                   return stream->Close(pid.status(), self());
                 }
                 if (!pid.ok() || (pid->local() && !deps_.runtime->IsAlive(*pid))) {
                   return down(index, pid.ok() ? *pid : Pid{}, ExitReason::NoProc());
                 }
                 v1::MonitorResponse event;
                 event.set_index(index);
                 wire::ToProto(*pid, self(), event.mutable_established()->mutable_pid());
                 stream->Write(std::move(event));
                 const Ref ref = deps_.runtime->Monitor(
                     *pid, [down, index](Pid gone, ExitReason why) { down(index, gone, why); });
                 bool over = false;
                 {
                   MutexLock lock(&watched->mu);
                   over = watched->over;
                   if (!over) watched->refs.push_back(ref);
                 }
                 if (over) deps_.runtime->Demonitor(ref);
               });
  }
}

}  // namespace banyan::rpc

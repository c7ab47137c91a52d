#include "server/rpc/services.h"

#include "banyan/v1/actors.grpc.pb.h"
#include "banyan/v1/cluster.grpc.pb.h"
#include "banyan/v1/registry.grpc.pb.h"
#include "banyan/v1/supervisors.grpc.pb.h"
#include "banyan/v1/sys.grpc.pb.h"
#include "server/rpc/send_stream.h"
#include "server/rpc/validate.h"

namespace banyan::rpc {
namespace {

template <typename Request, typename Response>
using UnaryOf = void (Backend::*)(const CallContext&, Request*, Answer<Response>);
template <typename Request, typename Response>
using StreamOf = void (Backend::*)(const CallContext&, Request*, EventStreamPtr<Response>);

template <typename Request, typename Response>
grpc::ServerUnaryReactor* ServeUnary(Backend* backend, UnaryOf<Request, Response> method,
                                     grpc::CallbackServerContext* server, const Request* request,
                                     Response* response) {
  auto* call = new PendingCall<Response>(server, response);
  Answer<Response> answer(call);
  absl::StatusOr<CallContext> context = ReadContext(server, backend->clock());
  absl::Status bad = context.ok() ? Validate(*request) : context.status();
  if (!bad.ok()) {
    answer.Fail(bad);
  } else {
    // The library keeps a message of its own for this call alone, so it may be taken apart.
    (backend->*method)(*context, const_cast<Request*>(request), std::move(answer));
  }
  return call;
}

template <typename Request, typename Response>
grpc::ServerWriteReactor<Response>* ServeStream(Backend* backend,
                                                StreamOf<Request, Response> method,
                                                grpc::CallbackServerContext* server,
                                                const Request* request) {
  auto [reactor, stream] = EventStream<Response>::Open(server);
  absl::StatusOr<CallContext> context = ReadContext(server, backend->clock());
  absl::Status bad = context.ok() ? Validate(*request) : context.status();
  if (!bad.ok()) {
    stream->Close(bad);
  } else {
    (backend->*method)(*context, const_cast<Request*>(request), stream);
  }
  return reactor;
}

#define BANYAN_SERVE(Method)                                                                 \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* server,                      \
                                   const v1::Method##Request* request,                       \
                                   v1::Method##Response* response) override {                \
    return ServeUnary<v1::Method##Request, v1::Method##Response>(backend_, &Backend::Method, \
                                                                 server, request, response); \
  }
#define BANYAN_SERVE_STREAM(Method)                                                           \
  grpc::ServerWriteReactor<v1::Method##Response>* Method(                                     \
      grpc::CallbackServerContext* server, const v1::Method##Request* request) override {     \
    return ServeStream<v1::Method##Request, v1::Method##Response>(backend_, &Backend::Method, \
                                                                  server, request);           \
  }

// All but SendStream are as in v1::Actors::CallbackService.
using ActorsBase = v1::Actors::WithCallbackMethod_Call<
    v1::Actors::WithCallbackMethod_Cast<v1::Actors::WithCallbackMethod_Send<
        v1::Actors::WithRawCallbackMethod_SendStream<v1::Actors::WithCallbackMethod_Spawn<
            v1::Actors::WithCallbackMethod_Exit<v1::Actors::WithCallbackMethod_Monitor<
                v1::Actors::WithCallbackMethod_Whereis<v1::Actors::WithCallbackMethod_GetActor<
                    v1::Actors::WithCallbackMethod_ListActors<v1::Actors::Service>>>>>>>>>>;

class ActorsService final : public ActorsBase {
 public:
  explicit ActorsService(Backend* backend) : backend_(backend) {}
  BANYAN_SERVE(Call)
  BANYAN_SERVE(Cast)
  BANYAN_SERVE(Send)
  BANYAN_SERVE(Spawn)
  BANYAN_SERVE(Exit)
  BANYAN_SERVE(Whereis)
  BANYAN_SERVE(GetActor)
  BANYAN_SERVE(ListActors)
  BANYAN_SERVE_STREAM(Monitor)
  SendReactor* SendStream(grpc::CallbackServerContext* server) override {
    auto [reactor, flow] = OpenSendStream(server);
    absl::StatusOr<CallContext> context = ReadContext(server, backend_->clock());
    context.ok() ? backend_->SendStream(*context, flow) : flow->Refuse(context.status());
    return reactor;
  }

 private:
  Backend* const backend_;
};

class SupervisorsService final : public v1::Supervisors::CallbackService {
 public:
  explicit SupervisorsService(Backend* backend) : backend_(backend) {}
  BANYAN_SERVE(StartSupervisor)
  BANYAN_SERVE(StopSupervisor)
  BANYAN_SERVE(StartChild)
  BANYAN_SERVE(TerminateChild)
  BANYAN_SERVE(RestartChild)
  BANYAN_SERVE(DeleteChild)
  BANYAN_SERVE(GetChildSpec)
  BANYAN_SERVE(ListChildren)
  BANYAN_SERVE(CountChildren)
  BANYAN_SERVE(ListSupervisors)
  BANYAN_SERVE(GetTree)
  BANYAN_SERVE(WaitOperation)
  BANYAN_SERVE_STREAM(WatchEvents)

 private:
  Backend* const backend_;
};

class ClusterService final : public v1::Cluster::CallbackService {
 public:
  explicit ClusterService(Backend* backend) : backend_(backend) {}
  BANYAN_SERVE(GetServerInfo)
  BANYAN_SERVE(GetCluster)
  BANYAN_SERVE(ListNodes)
  BANYAN_SERVE(GetNode)
  BANYAN_SERVE(ListModules)
  BANYAN_SERVE(ConfirmDead)
  BANYAN_SERVE(Cordon)
  BANYAN_SERVE(Uncordon)
  BANYAN_SERVE(Drain)
  BANYAN_SERVE(RemoveNode)
  BANYAN_SERVE(Rebalance)
  BANYAN_SERVE(UpdateNode)
  BANYAN_SERVE(FinalizeUpgrade)
  BANYAN_SERVE(EndSafeMode)
  BANYAN_SERVE_STREAM(Backup)
  BANYAN_SERVE_STREAM(WatchCluster)

 private:
  Backend* const backend_;
};

class RegistryService final : public v1::Registry::CallbackService {
 public:
  explicit RegistryService(Backend* backend) : backend_(backend) {}
  BANYAN_SERVE(Register)
  BANYAN_SERVE(Unregister)
  BANYAN_SERVE(Lookup)
  BANYAN_SERVE(ListNames)
  BANYAN_SERVE_STREAM(WatchNames)
  BANYAN_SERVE(Join)
  BANYAN_SERVE(Leave)
  BANYAN_SERVE(ListMembers)
  BANYAN_SERVE(ListGroups)
  BANYAN_SERVE_STREAM(WatchGroups)

 private:
  Backend* const backend_;
};

class SysService final : public v1::Sys::CallbackService {
 public:
  explicit SysService(Backend* backend) : backend_(backend) {}
  BANYAN_SERVE(GetState)
  BANYAN_SERVE(ReplaceState)
  BANYAN_SERVE(GetStatus)
  BANYAN_SERVE(Suspend)
  BANYAN_SERVE(Resume)
  BANYAN_SERVE(SetDebug)
  BANYAN_SERVE(GetStatistics)
  BANYAN_SERVE(ChangeCode)
  BANYAN_SERVE(Terminate)

 private:
  Backend* const backend_;
};

#undef BANYAN_SERVE
#undef BANYAN_SERVE_STREAM

}  // namespace

PublicServices::PublicServices(Backend* backend) {
  owned_.push_back(std::make_unique<ActorsService>(backend));
  owned_.push_back(std::make_unique<SupervisorsService>(backend));
  owned_.push_back(std::make_unique<ClusterService>(backend));
  owned_.push_back(std::make_unique<RegistryService>(backend));
  owned_.push_back(std::make_unique<SysService>(backend));
}

PublicServices::~PublicServices() = default;

std::vector<grpc::Service*> PublicServices::services() const {
  std::vector<grpc::Service*> out;
  for (const auto& service : owned_) out.push_back(service.get());
  return out;
}

std::vector<std::string> PublicServices::names() {
  return {"banyan.v1.Actors", "banyan.v1.Supervisors", "banyan.v1.Cluster", "banyan.v1.Registry",
          "banyan.v1.Sys"};
}

}  // namespace banyan::rpc

#include <algorithm>
#include <memory>
#include <utility>

#include "google/protobuf/util/field_mask_util.h"

#include "common/log/log.h"
#include "common/wire/time.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/coordinator_routes.h"
#include "server/rpc/filter.h"

namespace banyan::rpc {
namespace {

constexpr absl::Duration kDrainDefault = absl::Hours(1);

// Reads one of the coordinator's watches into a stream: one pull at a time, the next when the
// client has taken what came.
template <typename Response>
class WatchPump : public std::enable_shared_from_this<WatchPump<Response>> {
 public:
  using Pull = void (Coordinator::*)(Coordinator::WatchId, Reply<Response>);
  WatchPump(Coordinator* coordinator, Pull pull, EventStreamPtr<Response> stream)
      : coordinator_(coordinator), pull_(pull), stream_(std::move(stream)) {}

  // The answer to the opening of the watch.
  Reply<Coordinator::WatchId> Opened() {
    return [self = this->shared_from_this()](absl::StatusOr<Coordinator::WatchId> id) {
      if (!id.ok()) return self->stream_->Close(id.status());
      self->id_ = *id;
      // Only now: they run from another thread, and at once if the client has gone.
      self->stream_->SetCallbacks([self] { self->coordinator_->CloseWatch(self->id_); },
                                  [self] { self->Next(); });
      self->Next();
    };
  }

 private:
  void Next() {
    if (stream_->closed()) return;
    (coordinator_->*pull_)(id_,
                           [self = this->shared_from_this()](absl::StatusOr<Response> response) {
                             if (!response.ok()) return self->stream_->Close(response.status());
                             self->stream_->Write(*std::move(response));
                           });
  }

  Coordinator* const coordinator_;
  const Pull pull_;
  const EventStreamPtr<Response> stream_;
  Coordinator::WatchId id_ = 0;
};

// Answers with the node after the change.
template <typename Response>
Reply<v1::NodeInfo> NodeInto(Answer<Response> answer) {
  return [answer = std::move(answer)](absl::StatusOr<v1::NodeInfo> node) {
    if (!node.ok()) return answer.Fail(node.status());
    answer.With([&](Response* out) { *out->mutable_node() = *std::move(node); });
  };
}

}  // namespace

void CoordinatorBackend::WatchEvents(const CallContext& context, v1::WatchEventsRequest* request,
                                     EventStreamPtr<v1::WatchEventsResponse> stream) {
  WatchArgs args;
  if (request->has_supervisor()) args.supervisor = TargetFrom(request->supervisor());
  for (int kind : request->kinds()) {
    args.kinds.push_back(static_cast<v1::SupervisorEvent::Kind>(kind));
  }
  auto filter = MessageFilter::ParseLabels(request->filter(), *v1::ChildInfo::descriptor());
  if (!filter.ok()) return stream->Close(filter.status());
  if (!filter->empty()) {
    args.filter = [filter = *filter](const v1::ChildInfo& child) { return filter.Matches(child); };
  }
  args.resume_token = request->resume_token();
  args.send_snapshot = request->send_snapshot();
  auto pump = std::make_shared<WatchPump<v1::WatchEventsResponse>>(
      deps_.coordinator, &Coordinator::NextEvents, stream);
  auto kept = std::make_shared<v1::WatchEventsRequest>(std::move(*request));
  deps_.coordinator->WatchEvents(std::move(args), [this, context, kept, stream,
                                                   pump](absl::StatusOr<Coordinator::WatchId> id) {
    if (id.ok() || !IsLocalSupervisor(id.status())) return pump->Opened()(std::move(id));
    WatchOnNode(context, std::move(*kept), stream);
  });
}

// Of a local supervisor: its node has the events.
void CoordinatorBackend::WatchOnNode(const CallContext& context, v1::WatchEventsRequest request,
                                     EventStreamPtr<v1::WatchEventsResponse> stream) {
  Target target = TargetFrom(request.supervisor());
  const Instant deadline = std::min(context.deadline, deps_.clock->Now() + kDefaultCallTimeout);
  deps_.coordinator->ResolveTarget(std::move(target), deadline,
                                   [this, context, request = std::move(request),
                                    stream](absl::StatusOr<ResolvedTarget> to) mutable {
                                     if (!to.ok()) return stream->Close(to.status());
                                     WriteTarget(*to, request.mutable_supervisor());
                                     deps_.forwarder->PassStream(context, Hop::kNode, to->address,
                                                                 method::kWatchEvents,
                                                                 std::move(request), stream);
                                   });
}

void CoordinatorBackend::WatchCluster(const CallContext&, v1::WatchClusterRequest* request,
                                      EventStreamPtr<v1::WatchClusterResponse> stream) {
  WatchArgs args;
  args.resume_token = request->resume_token();
  args.send_snapshot = request->send_snapshot();
  auto pump = std::make_shared<WatchPump<v1::WatchClusterResponse>>(
      deps_.coordinator, &Coordinator::NextClusterEvents, std::move(stream));
  deps_.coordinator->WatchCluster(std::move(args), pump->Opened());
}

void CoordinatorBackend::GetServerInfo(const CallContext&, v1::GetServerInfoRequest*,
                                       Answer<v1::GetServerInfoResponse> answer) {
  deps_.coordinator->GetCluster([this, answer](absl::StatusOr<v1::GetClusterResponse> cluster) {
    answer.With([&](v1::GetServerInfoResponse* out) {
      FillServerInfo(deps_.info, *deps_.clock, out);
      if (cluster.ok()) out->set_cluster_id(cluster->id());
    });
  });
}

void CoordinatorBackend::GetCluster(const CallContext&, v1::GetClusterRequest*,
                                    Answer<v1::GetClusterResponse> answer) {
  deps_.coordinator->GetCluster(answer);
}

void CoordinatorBackend::ListNodes(const CallContext&, v1::ListNodesRequest* request,
                                   Answer<v1::ListNodesResponse> answer) {
  auto filter = MessageFilter::Parse(request->filter(), *v1::NodeInfo::descriptor());
  if (!filter.ok()) return answer.Fail(filter.status());
  std::function<bool(const v1::NodeInfo&)> accept;
  if (!filter->empty()) {
    accept = [filter = *filter](const v1::NodeInfo& node) { return filter.Matches(node); };
  }
  auto mask = std::make_shared<google::protobuf::FieldMask>(request->read_mask());
  const bool masked = request->has_read_mask();
  deps_.coordinator->ListNodes(
      {request->page_size(), request->page_token()}, request->show_gone(), std::move(accept),
      [mask, masked, answer](absl::StatusOr<v1::ListNodesResponse> page) {
        if (!page.ok()) return answer.Fail(page.status());
        for (v1::NodeInfo& node : *page->mutable_nodes()) {
          if (masked) {
            google::protobuf::util::FieldMaskUtil::TrimMessage(*mask, &node);
          } else {
            node.clear_modules();  // many, and rarely wanted
          }
        }
        answer.Done(*std::move(page));
      });
}

void CoordinatorBackend::GetNode(const CallContext&, v1::GetNodeRequest* request,
                                 Answer<v1::GetNodeResponse> answer) {
  if (request->name().empty()) {
    return answer.Fail(MakeFieldError(
        "REQUEST_INVALID",
        {{"name", "must be set: the coordinator, which answers here, is not a node"}}));
  }
  deps_.coordinator->GetNode(request->name(), NodeInto<v1::GetNodeResponse>(std::move(answer)));
}

void CoordinatorBackend::ListModules(const CallContext&, v1::ListModulesRequest* request,
                                     Answer<v1::ListModulesResponse> answer) {
  auto filter = MessageFilter::Parse(request->filter(), *v1::ModuleInfo::descriptor());
  if (!filter.ok()) return answer.Fail(filter.status());
  deps_.coordinator->ListModules(
      {request->page_size(), request->page_token()},
      [filter = *filter, answer](absl::StatusOr<v1::ListModulesResponse> page) {
        if (!page.ok()) return answer.Fail(page.status());
        if (!filter.empty()) {
          auto* modules = page->mutable_modules();
          for (int i = modules->size() - 1; i >= 0; --i) {
            if (!filter.Matches(modules->Get(i).module())) modules->DeleteSubrange(i, 1);
          }
        }
        answer.Done(*std::move(page));
      });
}

void CoordinatorBackend::ConfirmDead(const CallContext&, v1::ConfirmDeadRequest* request,
                                     Answer<v1::ConfirmDeadResponse> answer) {
  log::Warn("confirm_dead", {{"node", request->name()},
                             {"incarnation", request->incarnation()},
                             {"force", request->force()},
                             {"message", request->message()}});
  deps_.coordinator->ConfirmDead({request->name(), request->message(), request->request_id()},
                                 request->incarnation(), request->force(),
                                 NodeInto<v1::ConfirmDeadResponse>(std::move(answer)));
}

void CoordinatorBackend::Cordon(const CallContext&, v1::CordonRequest* request,
                                Answer<v1::CordonResponse> answer) {
  deps_.coordinator->Cordon({request->name(), request->message(), request->request_id()},
                            NodeInto<v1::CordonResponse>(std::move(answer)));
}

void CoordinatorBackend::Uncordon(const CallContext&, v1::UncordonRequest* request,
                                  Answer<v1::UncordonResponse> answer) {
  deps_.coordinator->Uncordon({request->name(), "", request->request_id()},
                              NodeInto<v1::UncordonResponse>(std::move(answer)));
}

void CoordinatorBackend::Drain(const CallContext&, v1::DrainRequest* request,
                               Answer<v1::DrainResponse> answer) {
  const absl::Duration deadline = request->no_deadline()    ? absl::InfiniteDuration()
                                  : request->has_deadline() ? wire::FromProto(request->deadline())
                                                            : kDrainDefault;
  deps_.coordinator->Drain({request->name(), request->message(), request->request_id()}, deadline,
                           request->max_parallel(), request->then_leave(),
                           NodeInto<v1::DrainResponse>(std::move(answer)));
}

void CoordinatorBackend::RemoveNode(const CallContext&, v1::RemoveNodeRequest* request,
                                    Answer<v1::RemoveNodeResponse> answer) {
  deps_.coordinator->RemoveNode(
      {request->name(), "", request->request_id()}, request->allow_missing(),
      [answer](absl::Status status) { status.ok() ? answer.Done({}) : answer.Fail(status); });
}

void CoordinatorBackend::Rebalance(const CallContext&, v1::RebalanceRequest* request,
                                   Answer<v1::RebalanceResponse> answer) {
  deps_.coordinator->Rebalance(request->validate_only(), request->max_moves(),
                               request->request_id(), answer);
}

void CoordinatorBackend::UpdateNode(const CallContext&, v1::UpdateNodeRequest* request,
                                    Answer<v1::UpdateNodeResponse> answer) {
  deps_.coordinator->UpdateNode(
      std::move(*request->mutable_node()),
      {request->update_mask().paths().begin(), request->update_mask().paths().end()},
      request->request_id(), NodeInto<v1::UpdateNodeResponse>(std::move(answer)));
}

void CoordinatorBackend::FinalizeUpgrade(const CallContext&, v1::FinalizeUpgradeRequest* request,
                                         Answer<v1::FinalizeUpgradeResponse> answer) {
  deps_.coordinator->FinalizeUpgrade(request->level(), request->request_id(), answer);
}

void CoordinatorBackend::EndSafeMode(const CallContext& context, v1::EndSafeModeRequest* request,
                                     Answer<v1::EndSafeModeResponse> answer) {
  if (!request->validate_only()) {
    log::Warn("safe_mode_ended",
              {{"decision", v1::EndSafeModeRequest::Decision_Name(request->decision())}});
  }
  deps_.coordinator->EndSafeMode(std::move(*request), answer);
}

namespace {

// Reads a backup into a stream: the next part when the client has taken the one before.
class BackupPump : public std::enable_shared_from_this<BackupPump> {
 public:
  using Read = CoordinatorBackend::Deps::ReadBackup;
  BackupPump(Read read, EventStreamPtr<v1::BackupResponse> stream)
      : read_(std::move(read)), stream_(std::move(stream)) {}
  void Start() {
    stream_->SetCallbacks([] {}, [self = shared_from_this()] { self->Next(); });
    Next();
  }

 private:
  void Next() {
    if (stream_->closed()) return;
    read_([self = shared_from_this()](absl::StatusOr<std::string> data) {
      if (!data.ok()) return self->stream_->Close(data.status());
      if (data->empty()) return self->stream_->Close(absl::OkStatus());
      v1::BackupResponse response;
      response.set_data(*std::move(data));
      self->stream_->Write(std::move(response));
    });
  }
  const Read read_;
  const EventStreamPtr<v1::BackupResponse> stream_;
};

}  // namespace

void CoordinatorBackend::Backup(const CallContext&, v1::BackupRequest*,
                                EventStreamPtr<v1::BackupResponse> stream) {
  if (!deps_.open_backup) {
    return stream->Close(absl::UnimplementedError("this coordinator's store cannot be copied"));
  }
  deps_.open_backup([stream](absl::StatusOr<Deps::ReadBackup> read) {
    if (!read.ok()) return stream->Close(read.status());
    std::make_shared<BackupPump>(*std::move(read), stream)->Start();
  });
}

// ------------------------------------------------------------- registry

// Through the holder's node, which must know of the name too.
void CoordinatorBackend::Register(const CallContext& context, v1::RegisterRequest* request,
                                  Answer<v1::RegisterResponse> answer) {
  Route<v1::RegisterRequest, v1::RegisterResponse>(context, std::move(*request),
                                                   TargetOf<v1::RegisterRequest>, method::kRegister,
                                                   context.deadline, std::move(answer));
}

void CoordinatorBackend::Unregister(const CallContext&, v1::UnregisterRequest* request,
                                    Answer<v1::UnregisterResponse> answer) {
  UnregisterArgs args;
  args.name = request->name();
  if (request->has_pid()) args.pid = wire::FromProto(request->pid(), {});
  args.reg_version = request->reg_version();
  args.request_id = request->request_id();
  deps_.coordinator->Unregister(std::move(args), [answer](absl::StatusOr<bool> removed) {
    if (!removed.ok()) return answer.Fail(removed.status());
    answer.With([&](v1::UnregisterResponse* out) { out->set_removed(*removed); });
  });
}

void CoordinatorBackend::Lookup(const CallContext&, v1::LookupRequest* request,
                                Answer<v1::LookupResponse> answer) {
  deps_.coordinator->Lookup(request->name(), answer);
}

void CoordinatorBackend::WatchNames(const CallContext&, v1::WatchNamesRequest* request,
                                    EventStreamPtr<v1::WatchNamesResponse> stream) {
  auto pump = std::make_shared<WatchPump<v1::WatchNamesResponse>>(
      deps_.coordinator, &Coordinator::NextNames, std::move(stream));
  deps_.coordinator->WatchNames(request->prefix(), request->after_reg_version(), pump->Opened());
}

void CoordinatorBackend::ListNames(const CallContext&, v1::ListNamesRequest* request,
                                   Answer<v1::ListNamesResponse> answer) {
  deps_.coordinator->ListNames(request->prefix(), {request->page_size(), request->page_token()},
                               answer);
}

}  // namespace banyan::rpc

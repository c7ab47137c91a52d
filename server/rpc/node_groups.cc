#include <map>
#include <memory>
#include <utility>

#include "common/wire/target.h"
#include "server/behaviours/pg.h"
#include "server/behaviours/pg_scope.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/node_backend_routes.h"
#include "server/rpc/page_token.h"

// Process groups (registry.proto). Each node has them all, so it reads its own copy; a group is
// joined and left on the node of the member.

namespace banyan::rpc {
namespace {

// A snapshot is cut into messages of about this size.
constexpr size_t kResponseBytes = 256 * 1024;
// A reader for whom more waits than this is too slow.
constexpr size_t kQueuedMax = 1000;

template <typename F>
auto ReadGroups(const Runtime& runtime, F read) -> decltype(read(GroupTable())) {
  const std::shared_ptr<const PgTable> table = PgTable::Find(runtime, pg::kDefaultScope);
  return table ? table->Read(read) : decltype(read(GroupTable()))();
}

// Hands the page's entries of `all` to `add`; the next page's token, or empty.
template <typename T, typename Add>
absl::StatusOr<std::string> TakePage(const std::vector<T>& all, int32_t size,
                                     const std::string& token, const std::string& conditions,
                                     Add add) {
  absl::StatusOr<size_t> from = DecodeOffsetToken(token, conditions);
  if (!from.ok()) return from.status();
  const size_t end = std::min(all.size(), *from + static_cast<size_t>(PageSize(size)));
  for (size_t i = *from; i < end; ++i) add(all[i]);
  return end < all.size() ? EncodeOffsetToken(end, conditions) : std::string();
}

// Answers when the last of several has said how it went; the first error is told.
template <typename Response>
class All {
 public:
  All(size_t open, Answer<Response> answer) : open_(open), answer_(std::move(answer)) {}
  void One(const absl::Status& status, const wire::NodeIdentity& self) {
    bool last = false;
    {
      MutexLock lock(&mu_);
      if (status_.ok()) status_ = status;
      last = --open_ == 0;
    }
    if (!last) return;
    status_.ok() ? answer_.Done({}) : answer_.Fail(status_, self);
  }

 private:
  Mutex mu_;
  size_t open_ ABSL_GUARDED_BY(mu_);
  absl::Status status_;  // read without the lock by the last alone
  const Answer<Response> answer_;
};

// The processes of a request's targets, as they become known.
struct Found {
  Mutex mu;
  size_t open ABSL_GUARDED_BY(mu) = 0;
  absl::Status status ABSL_GUARDED_BY(mu);
  std::map<std::pair<uint32_t, uint32_t>, std::vector<Pid>> by_node ABSL_GUARDED_BY(mu);
};

}  // namespace

// Resolves the targets, then does each node's share there.
template <typename Request, typename Response>
void NodeBackend::ChangeGroup(const CallContext& context, Request* request, const char* method,
                              bool join, Answer<Response> answer) {
  if (request->targets().empty()) return answer.Done({});
  auto found = std::make_shared<Found>();
  {
    MutexLock lock(&found->mu);
    found->open = static_cast<size_t>(request->targets_size());
  }
  const std::string group = request->group();
  const auto one = [this, context, found, group, method, join, answer](absl::StatusOr<Pid> pid) {
    std::map<std::pair<uint32_t, uint32_t>, std::vector<Pid>> by_node;
    absl::Status status;
    {
      MutexLock lock(&found->mu);
      if (pid.ok()) {
        found->by_node[{pid->node_id, pid->incarnation}].push_back(*pid);
      } else if (found->status.ok()) {
        found->status = pid.status();
      }
      if (--found->open > 0) return;
      by_node.swap(found->by_node);
      status = found->status;
    }
    if (!status.ok()) return answer.Fail(status, self());
    auto all = std::make_shared<All<Response>>(by_node.size(), answer);
    for (const auto& [node, pids] : by_node) {
      if (node.first == 0) {
        ChangeGroupHere(group, pids, join,
                        [this, all](const absl::Status& s) { all->One(s, self()); });
        continue;
      }
      absl::StatusOr<std::string> address = AddressOf(node.first, node.second);
      absl::Status hops = address.ok() ? CheckHops(context) : address.status();
      if (!hops.ok()) {
        all->One(hops, self());
        continue;
      }
      Request share;
      share.set_group(group);
      for (const Pid& p : pids) wire::ToProto(p, self(), share.add_targets()->mutable_pid());
      deps_.forwarder->Ask<Request, Response>(
          context, Hop::kNode, *address, method, std::move(share),
          [this, all](const grpc::Status& s, Response*, const grpc::ClientContext&) {
            all->One(s.ok() ? absl::OkStatus() : FromGrpcStatus(s, self()), self());
          });
    }
  };
  const Instant deadline = std::min(context.deadline, deps_.clock->Now() + kDefaultCallTimeout);
  // Not read from the request any more once the last is resolved.
  const std::vector<v1::Target> targets(request->targets().begin(), request->targets().end());
  for (const v1::Target& target : targets) ResolvePid(context, target, deadline, one);
}

// In a short-lived process, since only those ask a scope.
void NodeBackend::ChangeGroupHere(const std::string& group, std::vector<Pid> pids, bool join,
                                  std::function<void(const absl::Status&)> done) {
  ProcessMain main = [group, pids = std::move(pids), join, done](Self& me) -> Task<ExitReason> {
    absl::Status status = join ? co_await pg::Join(me, pg::kDefaultScope, group, pids)
                               : co_await pg::Leave(me, pg::kDefaultScope, group, pids);
    // "Not a member: no effect."
    done(ErrorReason(status) == "NOT_JOINED" ? absl::OkStatus() : status);
    co_return ExitReason::Normal();
  };
  SpawnOptions options;
  options.module = "banyan.group_request";
  absl::StatusOr<Pid> spawned = deps_.runtime->Spawn(std::move(main), std::move(options));
  if (!spawned.ok()) done(spawned.status());
}

void NodeBackend::Join(const CallContext& context, v1::JoinRequest* request,
                       Answer<v1::JoinResponse> answer) {
  ChangeGroup(context, request, method::kJoin, true, std::move(answer));
}

void NodeBackend::Leave(const CallContext& context, v1::LeaveRequest* request,
                        Answer<v1::LeaveResponse> answer) {
  ChangeGroup(context, request, method::kLeave, false, std::move(answer));
}

void NodeBackend::ListMembers(const CallContext&, v1::ListMembersRequest* request,
                              Answer<v1::ListMembersResponse> answer) {
  const std::string& group = request->group();
  const std::vector<Pid> members = ReadGroups(*deps_.runtime, [&](const GroupTable& t) {
    return request->local_only() ? t.LocalMembers(group) : t.Members(group);
  });
  const std::shared_ptr<const ClusterView> nodes = deps_.node->view();
  answer.With([&](v1::ListMembersResponse* out) {
    absl::StatusOr<std::string> next =
        TakePage(members, request->page_size(), request->page_token(), group, [&](const Pid& pid) {
          v1::Pid* member = out->add_members();
          wire::ToProto(pid, self(), member);
          const auto* node = nodes->Find(member->node_id());
          if (node != nullptr && node->state == v1::NODE_STATE_SUSPECT)
            *out->add_suspect() = *member;
        });
    if (next.ok()) out->set_next_page_token(*next);
    return next.status();
  });
}

void NodeBackend::ListGroups(const CallContext&, v1::ListGroupsRequest* request,
                             Answer<v1::ListGroupsResponse> answer) {
  std::vector<std::pair<std::string, uint64_t>> groups;
  for (const auto& [name, pids] :
       ReadGroups(*deps_.runtime, [](const GroupTable& t) { return t.All(); })) {
    if (name.starts_with(request->prefix())) groups.emplace_back(name, pids.size());
  }
  answer.With([&](v1::ListGroupsResponse* out) {
    absl::StatusOr<std::string> next = TakePage(groups, request->page_size(), request->page_token(),
                                                request->prefix(), [&](const auto& group) {
                                                  v1::GroupInfo* info = out->add_groups();
                                                  info->set_name(group.first);
                                                  info->set_member_count(group.second);
                                                });
    if (next.ok()) out->set_next_page_token(*next);
    return next.status();
  });
}

namespace {

// The process that reads a scope's notices for one stream.
struct GroupWatch {
  Mutex mu;
  bool over ABSL_GUARDED_BY(mu) = false;
  Pid pid ABSL_GUARDED_BY(mu);
};

}  // namespace

void NodeBackend::WatchGroups(const CallContext&, v1::WatchGroupsRequest* request,
                              EventStreamPtr<v1::WatchGroupsResponse> stream) {
  auto watch = std::make_shared<GroupWatch>();
  stream->SetCallbacks(
      [runtime = deps_.runtime, watch] {
        MutexLock lock(&watch->mu);
        watch->over = true;
        if (watch->pid) runtime->Exit(watch->pid, ExitReason::Kill());
      },
      nullptr);
  const std::set<std::string> wanted(request->groups().begin(), request->groups().end());
  ProcessMain main = [this, wanted, stream](Self& me) -> Task<ExitReason> {
    const auto wants = [&](const std::string& g) { return wanted.empty() || wanted.contains(g); };
    const std::optional<Pid> scope = me.runtime().Whereis(pg::kDefaultScope);
    if (scope) me.Monitor(*scope);
    absl::StatusOr<pg::ScopeMonitor> monitor = co_await pg::MonitorScope(me, pg::kDefaultScope);
    if (!monitor.ok()) {
      stream->Close(monitor.status(), self());
      co_return ExitReason::Normal();
    }
    v1::WatchGroupsResponse response;
    for (const auto& [group, pids] : monitor->groups) {
      if (!wants(group)) continue;
      v1::GroupEvent* event = response.add_events();
      event->set_group(group);
      for (const Pid& pid : pids) wire::ToProto(pid, self(), event->add_joined());
      if (response.ByteSizeLong() > kResponseBytes) {
        stream->Write(std::exchange(response, v1::WatchGroupsResponse()));
      }
    }
    response.set_snapshot_complete(true);
    stream->Write(std::move(response));
    for (;;) {
      const std::optional<Message> message = co_await me.Receive();
      if (message->is_down()) {
        stream->Close(MakeError("NOCONNECTION", "the groups of this node have begun anew"));
        co_return ExitReason::Normal();
      }
      const auto* notice = message->payload().As<GroupNotice>();
      if (notice == nullptr || !wants(notice->change.group)) continue;
      if (stream->queued() > kQueuedMax) {
        stream->Close(MakeError("WATCHER_TOO_SLOW", "the stream is read too slowly"));
        co_return ExitReason::Normal();
      }
      v1::WatchGroupsResponse change;
      v1::GroupEvent* event = change.add_events();
      event->set_group(notice->change.group);
      const bool joined = notice->change.kind == GroupChange::Kind::kJoin;
      for (const Pid& pid : notice->change.pids) {
        wire::ToProto(pid, self(), joined ? event->add_joined() : event->add_left());
      }
      stream->Write(std::move(change));
    }
  };
  SpawnOptions options;
  options.module = "banyan.group_watch";
  absl::StatusOr<Pid> spawned = deps_.runtime->Spawn(std::move(main), std::move(options));
  if (!spawned.ok()) return stream->Close(spawned.status());
  MutexLock lock(&watch->mu);
  watch->pid = *spawned;
  if (watch->over) deps_.runtime->Exit(*spawned, ExitReason::Kill());
}

}  // namespace banyan::rpc

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "common/base/target.h"
#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "common/wire/target.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/behaviours/sys.h"
#include "server/rpc/filter.h"
#include "server/rpc/node_backend_routes.h"
#include "server/rpc/page_token.h"
#include "server/rpc/supervisor_codec.h"
#include "server/rpc/tree_walk.h"
#include "server/wire/child_spec.h"

namespace banyan::rpc {
namespace {

std::string SupervisorText(const v1::Target& target) {
  absl::StatusOr<Target> decoded = wire::FromProto(target, {});
  return decoded.ok() ? FormatTarget(*decoded) : std::string("supervisor");
}

absl::StatusOr<ChildRef> ReadChildRef(const Node& node, const wire::NodeIdentity& self,
                                      const std::string& text) {
  absl::StatusOr<Target::ByPid> by = ParsePid(text);
  if (!by.ok()) return ChildRef(text);
  Pid pid = by->pid;
  if (!by->node.empty()) {
    const std::optional<ClusterView::Member> member = node.FindNode(by->node);
    if (member) {
      pid.node_id = member->id.node_id;
    } else if (by->node == node.options().name) {
      pid.node_id = self.node_id;
    } else {
      return MakeError("CHILD_NOT_FOUND", fmt::format("there is no node {}", by->node),
                       {{"childId", text}});
    }
  }
  return ChildRef(wire::Import(pid, self));
}

}  // namespace

// ------------------------------------------------------- start and stop

void NodeBackend::StartSupervisor(const CallContext& context, v1::StartSupervisorRequest* request,
                                  Answer<v1::StartSupervisorResponse> answer) {
  if (request->cluster_wide()) {
    return PassToCoordinator(context, method::kStartSupervisor, std::move(*request), answer);
  }
  if (!request->has_parent()) return StartRoot(context, std::move(*request), std::move(answer));
  const v1::Target above = request->parent();
  Locate(context, above, context.deadline,
         [this, context, answer,
          moved = std::make_shared<v1::StartSupervisorRequest>(std::move(*request))](
             absl::StatusOr<Pid> parent) {
           if (!parent.ok()) return answer.Fail(parent.status(), self());
           if (!parent->valid()) {
             return PassToCoordinator(context, method::kStartSupervisor, std::move(*moved), answer);
           }
           if (parent->local()) return StartUnder(std::move(*moved), *parent, answer);
           PassToNode(context, *parent, method::kStartSupervisor, moved.get(),
                      moved->mutable_parent(), answer);
         });
}

void NodeBackend::StartRoot(const CallContext& context, v1::StartSupervisorRequest request,
                            Answer<v1::StartSupervisorResponse> answer) {
  absl::StatusOr<SupervisorSpec> spec = wire::DecodeSupervisorSpec(request.spec());
  if (!spec.ok()) return answer.Fail(spec.status());
  if (const std::string& node = spec->placement.node; !node.empty() && node != deps_.info.name) {
    const std::optional<ClusterView::Member> member = deps_.node->FindNode(node);
    if (!member || member->gone()) {
      return answer.Fail(
          MakeError("NODE_NOT_FOUND", fmt::format("there is no node {}", node), {{"node", node}}));
    }
    return deps_.forwarder->Pass(context, Hop::kNode, member->address, method::kStartSupervisor,
                                 std::move(request), std::move(answer));
  }
  StartSpec start;
  start.name = request.name();
  StartContext how;
  how.link = false;
  banyan::StartSupervisor(
      *deps_.runtime, std::make_shared<const SupervisorSpec>(*std::move(spec)), how, start,
      [this, name = request.name(), answer](StartResult result) {
        if (!result.started()) {
          if (result.reason.type() == kAlreadyStarted) {
            return answer.Fail(MakeError("NAME_TAKEN", fmt::format("the name {} is taken", name),
                                         {{"name", name}, {"pid", FormatPid(result.pid)}}),
                               self());
          }
          return answer.Fail(
              MakeError("CHILD_START_FAILED",
                        fmt::format("the supervisor did not start: {}", result.reason.ToString()),
                        {}, result.reason),
              self());
        }
        if (name.empty() || !deps_.node->joined()) return DescribeSupervisor(result.pid, answer);
        // The name shall lead here from every node.
        deps_.node->RegisterName(
            name, result.pid, {}, false,
            [this, pid = result.pid, answer](absl::StatusOr<v1::NameEntry> entry) {
              if (entry.ok() || ErrorReason(entry.status()) != "NAME_TAKEN") {
                return DescribeSupervisor(pid, answer);
              }
              deps_.runtime->Exit(pid, ExitReason::Shutdown());
              answer.Fail(entry.status(), self());
            });
      });
}

void NodeBackend::StartUnder(v1::StartSupervisorRequest request, Pid parent,
                             Answer<v1::StartSupervisorResponse> answer) {
  absl::StatusOr<SupervisorSpec> spec = wire::DecodeSupervisorSpec(request.spec());
  if (!spec.ok()) return answer.Fail(spec.status());
  ChildSpec child;
  child.id = request.child_id();
  child.supervisor = std::make_shared<const SupervisorSpec>(*std::move(spec));
  child.type = ChildType::kSupervisor;
  SupervisorClient(parent).StartChild(
      *deps_.runtime, child,
      [this, child_id = child.id, above = SupervisorText(request.parent()),
       answer](absl::StatusOr<OpResult> result) {
        if (!result.ok()) return answer.Fail(NotASupervisor(result.status()), self());
        if (absl::Status bad = OpError(*result, above, child_id); !bad.ok()) {
          return answer.Fail(bad, self());
        }
        DescribeSupervisor(result->pid, answer);
      });
}

void NodeBackend::DescribeSupervisor(Pid pid, Answer<v1::StartSupervisorResponse> answer) {
  SupervisorClient(pid).GetInfo(
      *deps_.runtime, [this, pid, answer](absl::StatusOr<SupervisorInfo> info) {
        if (!info.ok()) return answer.Fail(info.status(), self());
        answer.With([&](v1::StartSupervisorResponse* out) {
          EncodeSupervisor(pid, *info, of_node(), out->mutable_supervisor());
        });
      });
}

void NodeBackend::StopSupervisor(const CallContext& context, v1::StopSupervisorRequest* request,
                                 Answer<v1::StopSupervisorResponse> answer) {
  OnSupervisor<v1::StopSupervisorRequest, v1::StopSupervisorResponse>(
      context, request, method::kStopSupervisor, answer,
      [this](v1::StopSupervisorRequest moved, Pid pid, Answer<v1::StopSupervisorResponse> to) {
        // Asks first: a request to end must not hit a process that is something else.
        SupervisorClient(pid).GetInfo(
            *deps_.runtime, [this, moved, pid, to](absl::StatusOr<SupervisorInfo> info) {
              if (!info.ok()) return to.Fail(NotASupervisor(info.status()), self());
              deps_.runtime->Monitor(pid, [this, to](Pid, ExitReason why) {
                to.With([&](v1::StopSupervisorResponse* out) {
                  wire::ToProto(why, self(), out->mutable_exit_reason());
                });
              });
              SysRequest stop;
              stop.op = SysRequest::Op::kTerminate;
              stop.reason = moved.has_reason() ? wire::FromProto(moved.reason(), self())
                                               : ExitReason::Shutdown();
              sys::Request(*deps_.runtime, pid, std::move(stop), Instant::Infinite(),
                           [](absl::StatusOr<Payload>, Pid) {});
            });
      });
}

// -------------------------------------------------------------- children

void NodeBackend::StartChild(const CallContext& context, v1::StartChildRequest* request,
                             Answer<v1::StartChildResponse> answer) {
  OnSupervisor<v1::StartChildRequest, v1::StartChildResponse>(
      context, request, method::kStartChild, answer,
      [this](v1::StartChildRequest moved, Pid pid, Answer<v1::StartChildResponse> to) {
        const std::string name = SupervisorText(moved.supervisor());
        auto spec = std::make_shared<ChildSpec>();
        const bool dynamic = moved.has_extra_args();
        const auto done = [this, name, spec, dynamic, to](absl::StatusOr<OpResult> result) {
          if (!result.ok()) return to.Fail(NotASupervisor(result.status()), self());
          if (absl::Status bad = OpError(*result, name, spec->id); !bad.ok()) {
            return to.Fail(bad, self());
          }
          to.With([&](v1::StartChildResponse* out) {
            EncodeStarted(*result, dynamic ? nullptr : spec.get(), of_node(), out->mutable_child());
            out->set_ignored(result->code == OpResult::Code::kIgnored);
            if (!result->info.empty()) (void)wire::ToProto(result->info, out->mutable_info());
          });
        };
        if (dynamic) {
          std::vector<Payload> args;
          for (v1::Payload& arg : *moved.mutable_extra_args()->mutable_args()) {
            args.push_back(wire::FromProto(std::move(arg)));
          }
          return SupervisorClient(pid).StartChild(*deps_.runtime, std::move(args), done);
        }
        absl::StatusOr<ChildSpec> decoded = wire::DecodeChildSpec(moved.spec());
        if (!decoded.ok()) return to.Fail(decoded.status());
        *spec = *std::move(decoded);
        SupervisorClient(pid).StartChild(*deps_.runtime, *spec, done);
      });
}

void NodeBackend::TerminateChild(const CallContext& context, v1::TerminateChildRequest* request,
                                 Answer<v1::TerminateChildResponse> answer) {
  OnSupervisor<v1::TerminateChildRequest, v1::TerminateChildResponse>(
      context, request, method::kTerminateChild, answer,
      [this](v1::TerminateChildRequest moved, Pid pid, Answer<v1::TerminateChildResponse> to) {
        absl::StatusOr<ChildRef> child = ReadChildRef(*deps_.node, self(), moved.child_id());
        if (!child.ok()) return to.Fail(child.status());
        SupervisorClient(pid).TerminateChild(
            *deps_.runtime, *child, [this, moved, to](absl::StatusOr<OpResult> result) {
              if (!result.ok()) return to.Fail(NotASupervisor(result.status()), self());
              absl::Status bad =
                  OpError(*result, SupervisorText(moved.supervisor()), moved.child_id());
              if (!bad.ok()) return to.Fail(bad, self());
              to.With([&](v1::TerminateChildResponse* out) {
                if (result->ended)
                  wire::ToProto(*result->ended, self(), out->mutable_exit_reason());
              });
            });
      });
}

void NodeBackend::RestartChild(const CallContext& context, v1::RestartChildRequest* request,
                               Answer<v1::RestartChildResponse> answer) {
  OnSupervisor<v1::RestartChildRequest, v1::RestartChildResponse>(
      context, request, method::kRestartChild, answer,
      [this](v1::RestartChildRequest moved, Pid pid, Answer<v1::RestartChildResponse> to) {
        absl::StatusOr<ChildRef> child = ReadChildRef(*deps_.node, self(), moved.child_id());
        if (!child.ok()) return to.Fail(child.status());
        const auto restart = [this, moved, pid, child = *child, to] {
          SupervisorClient(pid).RestartChild(
              *deps_.runtime, child, [this, moved, to](absl::StatusOr<OpResult> result) {
                if (!result.ok()) return to.Fail(NotASupervisor(result.status()), self());
                absl::Status bad =
                    OpError(*result, SupervisorText(moved.supervisor()), moved.child_id());
                if (!bad.ok()) return to.Fail(bad, self());
                ChildSpec spec;
                spec.id = moved.child_id();
                to.With([&](v1::RestartChildResponse* out) {
                  EncodeStarted(*result, &spec, of_node(), out->mutable_child());
                  out->set_ignored(result->code == OpResult::Code::kIgnored);
                });
              });
        };
        if (!moved.running_too()) return restart();
        SupervisorClient(pid).TerminateChild(*deps_.runtime, *child,
                                             [restart](absl::StatusOr<OpResult>) { restart(); });
      });
}

void NodeBackend::DeleteChild(const CallContext& context, v1::DeleteChildRequest* request,
                              Answer<v1::DeleteChildResponse> answer) {
  OnSupervisor<v1::DeleteChildRequest, v1::DeleteChildResponse>(
      context, request, method::kDeleteChild, answer,
      [this](v1::DeleteChildRequest moved, Pid pid, Answer<v1::DeleteChildResponse> to) {
        absl::StatusOr<ChildRef> child = ReadChildRef(*deps_.node, self(), moved.child_id());
        if (!child.ok()) return to.Fail(child.status());
        SupervisorClient(pid).DeleteChild(
            *deps_.runtime, *child, [this, moved, to](absl::StatusOr<OpResult> result) {
              if (!result.ok()) return to.Fail(NotASupervisor(result.status()), self());
              absl::Status bad =
                  OpError(*result, SupervisorText(moved.supervisor()), moved.child_id());
              bad.ok() ? to.Done({}) : to.Fail(bad, self());
            });
      });
}

void NodeBackend::GetChildSpec(const CallContext& context, v1::GetChildSpecRequest* request,
                               Answer<v1::GetChildSpecResponse> answer) {
  OnSupervisor<v1::GetChildSpecRequest, v1::GetChildSpecResponse>(
      context, request, method::kGetChildSpec, answer,
      [this](v1::GetChildSpecRequest moved, Pid pid, Answer<v1::GetChildSpecResponse> to) {
        absl::StatusOr<ChildRef> child = ReadChildRef(*deps_.node, self(), moved.child_id());
        if (!child.ok()) return to.Fail(child.status());
        SupervisorClient(pid).GetChildSpec(
            *deps_.runtime, *child,
            [this, moved, to](absl::StatusOr<std::shared_ptr<const ChildSpec>> spec) {
              if (!spec.ok()) return to.Fail(NotASupervisor(spec.status()), self());
              if (*spec == nullptr) {
                return to.Fail(MakeError("CHILD_NOT_FOUND",
                                         fmt::format("there is no child {}", moved.child_id()),
                                         {{"childId", moved.child_id()}}));
              }
              to.With([&](v1::GetChildSpecResponse* out) {
                wire::EncodeChildSpec(**spec, out->mutable_spec());
              });
            });
      });
}

void NodeBackend::ListChildren(const CallContext& context, v1::ListChildrenRequest* request,
                               Answer<v1::ListChildrenResponse> answer) {
  OnSupervisor<v1::ListChildrenRequest, v1::ListChildrenResponse>(
      context, request, method::kListChildren, answer,
      [this](v1::ListChildrenRequest moved, Pid pid, Answer<v1::ListChildrenResponse> to) {
        absl::StatusOr<size_t> from = DecodeOffsetToken(moved.page_token(), moved.filter());
        if (!from.ok()) return to.Fail(from.status());
        auto filter = MessageFilter::Parse(moved.filter(), *v1::ChildInfo::descriptor());
        if (!filter.ok()) return to.Fail(filter.status());
        SupervisorClient(pid).WhichChildren(
            *deps_.runtime, [this, moved, from = *from, filter = *filter,
                             to](absl::StatusOr<std::vector<ChildEntry>> children) {
              if (!children.ok()) return to.Fail(NotASupervisor(children.status()), self());
              to.With([&](v1::ListChildrenResponse* out) {
                const size_t size = static_cast<size_t>(PageSize(moved.page_size()));
                // which_children has the newest first.
                for (size_t i = from; i < children->size(); ++i) {
                  if (static_cast<size_t>(out->children_size()) == size) {
                    out->set_next_page_token(EncodeOffsetToken(i, moved.filter()));
                    break;
                  }
                  v1::ChildInfo child;
                  EncodeChild((*children)[children->size() - 1 - i], of_node(),
                              moved.include_spec(), &child);
                  if (filter.Matches(child)) *out->add_children() = std::move(child);
                }
              });
            });
      });
}

void NodeBackend::CountChildren(const CallContext& context, v1::CountChildrenRequest* request,
                                Answer<v1::CountChildrenResponse> answer) {
  OnSupervisor<v1::CountChildrenRequest, v1::CountChildrenResponse>(
      context, request, method::kCountChildren, answer,
      [this](v1::CountChildrenRequest, Pid pid, Answer<v1::CountChildrenResponse> to) {
        SupervisorClient(pid).CountChildren(
            *deps_.runtime, [this, to](absl::StatusOr<ChildCounts> counts) {
              if (!counts.ok()) return to.Fail(NotASupervisor(counts.status()), self());
              to.With([&](v1::CountChildrenResponse* out) {
                EncodeCounts(*counts, out->mutable_counts());
              });
            });
      });
}

// ------------------------------------------------------- trees and lists

void NodeBackend::GetTree(const CallContext& context, v1::GetTreeRequest* request,
                          Answer<v1::GetTreeResponse> answer) {
  OnSupervisor<v1::GetTreeRequest, v1::GetTreeResponse>(
      context, request, method::kGetTree, answer,
      [this](v1::GetTreeRequest moved, Pid pid, Answer<v1::GetTreeResponse> to) {
        WalkTree(deps_.runtime, of_node(), pid, moved.depth(),
                 [this, to](absl::StatusOr<v1::GetTreeResponse> tree) {
                   if (!tree.ok()) return to.Fail(NotASupervisor(tree.status()), self());
                   to.Done(*std::move(tree));
                 });
      });
}

// The local supervisors of this node: those that are nobody's child, or all.
void NodeBackend::ListSupervisorsHere(const v1::ListSupervisorsRequest& request,
                                      std::function<void(v1::ListSupervisorsResponse)> done) {
  struct Gathering {
    Mutex mu;
    size_t waiting ABSL_GUARDED_BY(mu) = 1;
    v1::ListSupervisorsResponse out ABSL_GUARDED_BY(mu);
    std::function<void(v1::ListSupervisorsResponse)> done;
    void Drop() {
      v1::ListSupervisorsResponse all;
      {
        MutexLock lock(&mu);
        if (--waiting > 0) return;
        all = std::move(out);
      }
      done(std::move(all));
    }
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->done = std::move(done);
  for (const ProcessSnapshot& process : deps_.runtime->List()) {
    const bool root = process.child_id.empty();
    if (process.module != "supervisor" || (!root && !request.all_levels())) continue;
    {
      MutexLock lock(&gathering->mu);
      ++gathering->waiting;
    }
    SupervisorClient(process.pid, absl::Seconds(2))
        .GetInfo(*deps_.runtime, [this, gathering, process](absl::StatusOr<SupervisorInfo> info) {
          if (info.ok()) {
            v1::SupervisorInfo encoded;
            EncodeSupervisor(process.pid, *info, of_node(), &encoded);
            if (!process.child_id.empty()) {
              wire::ToProto(process.parent, self(), encoded.mutable_parent());
            }
            MutexLock lock(&gathering->mu);
            *gathering->out.add_supervisors() = std::move(encoded);
          }
          gathering->Drop();
        });
  }
  gathering->Drop();
}

void NodeBackend::ListSupervisors(const CallContext& context, v1::ListSupervisorsRequest* request,
                                  Answer<v1::ListSupervisorsResponse> answer) {
  // The coordinator asks every node; a client's request goes through it.
  if (context.hops == 0) {
    return PassToCoordinator(context, method::kListSupervisors, std::move(*request), answer);
  }
  auto filter = MessageFilter::Parse(request->filter(), *v1::SupervisorInfo::descriptor());
  if (!filter.ok()) return answer.Fail(filter.status());
  ListSupervisorsHere(*request, [filter = *filter, answer](v1::ListSupervisorsResponse all) {
    answer.With([&](v1::ListSupervisorsResponse* out) {
      for (v1::SupervisorInfo& s : *all.mutable_supervisors()) {
        if (filter.Matches(s)) *out->add_supervisors() = std::move(s);
      }
    });
  });
}

void NodeBackend::WaitOperation(const CallContext& context, v1::WaitOperationRequest* request,
                                Answer<v1::WaitOperationResponse> answer) {
  PassToCoordinator(context, method::kWaitOperation, std::move(*request), answer);
}

}  // namespace banyan::rpc

#include <algorithm>
#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include <fmt/format.h>

#include "banyan/v1/registry.grpc.pb.h"

namespace banyan::cli {
namespace {

int CheckGroup(Cli& cli, const std::string& name) {
  absl::Status bad = client::CheckName(name, "GROUP");
  return bad.ok() ? kDone : cli.Usage(std::string(bad.message()));
}

// Joining twice counts twice, so neither is repeated when its answer is lost.
template <typename Request, typename Response, typename Method>
int ChangeMembers(Cli& cli, const GroupOptions& options, Method method, const char* done) {
  if (int code = CheckGroup(cli, options.group)) return code;
  Request request;
  request.set_group(options.group);
  for (const std::string& text : options.targets) {
    auto target = cli.Target(text);
    if (!target.ok()) return cli.FailTarget(target.status(), text);
    *request.add_targets() = *target;
  }
  Response response;
  auto error = cli.session().Invoke<v1::Registry>(method, request, &response, {});
  if (!error.ok()) return cli.Fail(error, {.name = options.group});
  return PrintOne(cli, response, options.group,
                  [&] { cli.out() << fmt::format("{} {}\n", done, options.group); });
}

}  // namespace

int RunGroupList(Cli& cli, const GroupOptions& options) {
  v1::ListGroupsRequest request;
  request.set_prefix(options.group);
  request.set_page_size(1000);
  v1::ListGroupsResponse all;
  auto error = client::ListAll<v1::Registry, decltype(&v1::Registry::Stub::ListGroups),
                               v1::ListGroupsRequest, v1::ListGroupsResponse>(
      &cli.session(), &v1::Registry::Stub::ListGroups, request, &all,
      [](v1::ListGroupsResponse* sum, const v1::ListGroupsResponse& page) {
        sum->MergeFrom(page);
      });
  if (!error.ok()) return cli.Fail(error);
  return PrintList(
      cli, all, all.groups(), [](const v1::GroupInfo& group) { return group.name(); },
      [&] {
        Table table({"GROUP", ">MEMBERS"});
        for (const v1::GroupInfo& group : all.groups()) {
          table.Add({group.name(), fmt::format("{}", group.member_count())});
        }
        table.Print(cli);
      });
}

int RunGroupMembers(Cli& cli, const GroupOptions& options) {
  if (int code = CheckGroup(cli, options.group)) return code;
  v1::ListMembersRequest request;
  request.set_group(options.group);
  request.set_local_only(options.local);
  request.set_page_size(1000);
  v1::ListMembersResponse all;
  auto error = client::ListAll<v1::Registry, decltype(&v1::Registry::Stub::ListMembers),
                               v1::ListMembersRequest, v1::ListMembersResponse>(
      &cli.session(), &v1::Registry::Stub::ListMembers, request, &all,
      [](v1::ListMembersResponse* sum, const v1::ListMembersResponse& page) {
        sum->MergeFrom(page);
      });
  if (!error.ok()) return cli.Fail(error);
  return PrintList(
      cli, all, all.members(), [&](const v1::Pid& pid) { return cli.Pid(pid); },
      [&] {
        Table table({"PID", "NODE"});
        const auto doubtful = [&](const v1::Pid& pid) {
          return std::any_of(all.suspect().begin(), all.suspect().end(), [&](const v1::Pid& s) {
            return s.node_id() == pid.node_id() && s.id() == pid.id();
          });
        };
        for (const v1::Pid& pid : all.members())
          table.Add({cli.Pid(pid), doubtful(pid) ? "suspect" : "active"});
        table.Print(cli);
      });
}

int RunGroupJoin(Cli& cli, const GroupOptions& options) {
  return ChangeMembers<v1::JoinRequest, v1::JoinResponse>(cli, options, &v1::Registry::Stub::Join,
                                                          "joined");
}

int RunGroupLeave(Cli& cli, const GroupOptions& options) {
  return ChangeMembers<v1::LeaveRequest, v1::LeaveResponse>(cli, options,
                                                            &v1::Registry::Stub::Leave, "left");
}

}  // namespace banyan::cli

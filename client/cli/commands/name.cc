#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/registry.grpc.pb.h"

namespace banyan::cli {
namespace {

int CheckName(Cli& cli, const std::string& name) {
  absl::Status bad = client::CheckName(name, "NAME");
  return bad.ok() ? kDone : cli.Usage(std::string(bad.message()));
}

std::string Kind(const v1::NameEntry& entry) {
  return entry.child_name() ? "child" : entry.exclusive() ? "exclusive" : "dynamic";
}

}  // namespace

int RunNameList(Cli& cli, const NameOptions& options) {
  if (options.watch) return RunNameWatch(cli, options);
  v1::ListNamesRequest request;
  request.set_prefix(options.name);
  request.set_page_size(1000);
  v1::ListNamesResponse all;
  auto error = client::ListAll<v1::Registry, decltype(&v1::Registry::Stub::ListNames),
                               v1::ListNamesRequest, v1::ListNamesResponse>(
      &cli.session(), &v1::Registry::Stub::ListNames, request, &all,
      [](v1::ListNamesResponse* sum, const v1::ListNamesResponse& page) { sum->MergeFrom(page); });
  if (!error.ok()) return cli.Fail(error);
  return PrintList(
      cli, all, all.entries(), [](const v1::NameEntry& entry) { return entry.name(); },
      [&] {
        Table table({"NAME", "PID", "KIND", ">AGE"});
        for (const v1::NameEntry& entry : all.entries()) {
          table.Add({entry.name(), cli.Pid(entry.pid()), Kind(entry), Age(entry.register_time())});
        }
        table.Print(cli);
      });
}

int RunNameLookup(Cli& cli, const NameOptions& options) {
  if (int code = CheckName(cli, options.name)) return code;
  v1::LookupRequest request;
  request.set_name(options.name);
  request.set_linearizable(options.linearizable);
  v1::LookupResponse response;
  auto error = cli.session().Invoke<v1::Registry>(&v1::Registry::Stub::Lookup, request, &response,
                                                  client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.name = options.name});
  const std::string pid = cli.Pid(response.entry().pid());
  return PrintOne(cli, response, pid, [&] {
    cli.out() << fmt::format("{}{}{}\n", pid, response.starting() ? "  (being started)" : "",
                             response.stale() ? "  (unconfirmed copy)" : "");
  });
}

int RunNameRegister(Cli& cli, const NameOptions& options) {
  if (int code = CheckName(cli, options.name)) return code;
  v1::RegisterRequest request;
  auto target = cli.Target(options.target);
  if (!target.ok()) return cli.FailTarget(target.status(), options.target);
  *request.mutable_target() = *target;
  request.set_name(options.name);
  request.set_exclusive(options.exclusive);
  request.set_request_id(client::NewRequestId());
  v1::RegisterResponse response;
  auto error = cli.session().Invoke<v1::Registry>(&v1::Registry::Stub::Register, request, &response,
                                                  client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.target = options.target, .name = options.name});
  return PrintOne(cli, response, options.name, [&] {
    cli.out() << fmt::format("{} is {}\n", options.name, cli.Pid(response.entry().pid()));
  });
}

int RunNameUnregister(Cli& cli, const NameOptions& options) {
  if (int code = CheckName(cli, options.name)) return code;
  v1::UnregisterRequest request;
  if (!options.target.empty()) {
    auto pid = client::ParsePid(options.target, cli.session().node_resolver());
    if (!pid.ok()) return cli.FailTarget(pid.status(), options.target);
    *request.mutable_pid() = *pid;
  }
  request.set_name(options.name);
  request.set_request_id(client::NewRequestId());
  v1::UnregisterResponse response;
  auto error = cli.session().Invoke<v1::Registry>(&v1::Registry::Stub::Unregister, request,
                                                  &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.name = options.name});
  return PrintOne(cli, response, options.name, [&] {
    cli.out() << fmt::format(
        "{} {}\n", options.name,
        response.removed() ? "is free" : "was not taken away: nobody, or another process, has it");
  });
}

}  // namespace banyan::cli

#include <fstream>
#include <iterator>
#include <ostream>

#include "client/cli/commands/child_flags.h"
#include "client/cli/output.h"
#include "client/cli/spec_yaml.h"
#include "client/transport/duration.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/supervisors.grpc.pb.h"

namespace banyan::cli {
namespace {

bool HasSpecFlags(const SupStartOptions& options) {
  const ChildFlags& c = options.child;
  return !options.strategy.empty() || options.intensity || !options.period.empty() ||
         !options.auto_shutdown.empty() || !c.module.empty() || !c.args.empty() ||
         !c.restart.empty() || !c.shutdown.empty();
}

int SpecFromFile(Cli& cli, const SupStartOptions& options, v1::StartSupervisorRequest* request) {
  if (HasSpecFlags(options)) {
    return cli.Usage(
        "-f: the file describes the supervisor; flags that do so too can't be given with it");
  }
  auto text = cli.ReadArgument(options.file == "-" ? "-" : "@" + options.file);
  if (!text.ok()) return cli.Usage(fmt::format("-f: {}", std::string(text.status().message())));
  SpecFile file = ReadSpecYaml(*text, &cli.types());
  if (!file.problems.empty()) {
    cli.err() << fmt::format("error: {}: {} problem{}\n", options.file, file.problems.size(),
                             file.problems.size() == 1 ? "" : "s");
    for (const std::string& problem : file.problems) cli.err() << fmt::format("  {}\n", problem);
    return kUsage;
  }
  if (!file.name.empty() && !options.name.empty() && file.name != options.name) {
    return cli.Usage(
        fmt::format("-f: the file names \"{}\", the command \"{}\"", file.name, options.name));
  }
  request->set_name(options.name.empty() ? file.name : options.name);
  *request->mutable_spec() = std::move(file.spec);
  return kDone;
}

int SpecFromFlags(Cli& cli, const SupStartOptions& options, v1::StartSupervisorRequest* request) {
  request->set_name(options.name);
  v1::SupervisorSpec* spec = request->mutable_spec();
  int value = 0;
  if (int code = ParseWord(cli, "--strategy", options.strategy,
                           v1::SupervisorSpec::Strategy_descriptor(), &value)) {
    return code;
  }
  spec->set_strategy(static_cast<v1::SupervisorSpec::Strategy>(value));
  if (int code = ParseWord(cli, "--auto-shutdown", options.auto_shutdown,
                           v1::SupervisorSpec::AutoShutdown_descriptor(), &value)) {
    return code;
  }
  spec->set_auto_shutdown(static_cast<v1::SupervisorSpec::AutoShutdown>(value));
  if (options.intensity) spec->set_intensity(*options.intensity);
  if (!options.period.empty()) {
    auto period = client::ParseDuration(options.period);
    if (!period.ok())
      return cli.Usage(fmt::format("--period: {}", std::string(period.status().message())));
    *spec->mutable_period() = client::ToProto(*period);
  }
  const bool simple = spec->strategy() == v1::SupervisorSpec::STRATEGY_SIMPLE_ONE_FOR_ONE;
  const ChildFlags& child = options.child;
  if (simple && child.module.empty()) {
    return cli.Usage(
        "--module is missing: a simple_one_for_one supervisor makes its children from it");
  }
  if (!simple && (!child.module.empty() || !child.args.empty() || !child.restart.empty() ||
                  !child.shutdown.empty())) {
    return cli.Usage(
        "--module, --args, --restart and --shutdown describe the template of simple_one_for_one",
        "other children: banyan child start SUP --id ID --module M, or -f FILE");
  }
  return simple ? BuildChildSpec(cli, child, spec->mutable_child_template()) : kDone;
}

std::string Scope(Cli& cli, const v1::SupervisorInfo& sup) {
  return sup.cluster_wide() ? "cluster" : cli.Pid(sup.pid());
}

std::string NameOf(const v1::SupervisorInfo& sup) {
  if (sup.path_size() > 0) return fmt::format("{}", fmt::join(sup.path(), "/"));
  return sup.name();
}

void PrintTable(Cli& cli, const v1::ListSupervisorsResponse& all) {
  Table table({"SUPERVISOR", "STRATEGY", "WHERE", ">CHILDREN", ">RECENT RESTARTS", ">AGE"});
  for (const v1::SupervisorInfo& sup : all.supervisors()) {
    table.Add({NameOf(sup).empty() ? "-" : NameOf(sup), StrategyText(sup.spec()), Scope(cli, sup),
               fmt::format("{}/{}", sup.counts().active(), sup.counts().specs()),
               Count(sup.recent_restarts()), Age(sup.start_time())});
  }
  table.Print(cli);
  for (const std::string& node : all.unreachable())
    cli.err() << fmt::format("warning: {} did not answer\n", node);
}

}  // namespace

int RunSupStart(Cli& cli, const SupStartOptions& options) {
  v1::StartSupervisorRequest request;
  if (options.name.empty() && options.file.empty()) return cli.Usage("NAME is missing");
  const int code = options.file.empty() ? SpecFromFlags(cli, options, &request)
                                        : SpecFromFile(cli, options, &request);
  if (code != kDone) return code;
  if (absl::Status bad = client::CheckName(request.name(), "NAME"); !bad.ok()) {
    return cli.Usage(std::string(bad.message()));
  }
  request.set_cluster_wide(options.cluster_wide);
  request.set_request_id(client::NewRequestId());
  v1::StartSupervisorResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::StartSupervisor,
                                                     request, &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.supervisor = request.name(), .name = request.name()});
  return PrintOne(cli, response, request.name(), [&] {
    const v1::SupervisorInfo& sup = response.supervisor();
    if (sup.cluster_wide() || !sup.has_pid()) {
      cli.out() << fmt::format("started {}, kept by the coordinator\n", request.name());
    } else {
      cli.out() << fmt::format("started {} as {}\n", request.name(), cli.Pid(sup.pid()));
    }
  });
}

int RunSupStop(Cli& cli, const SupStopOptions& options) {
  v1::StopSupervisorRequest request;
  auto target = cli.Supervisor(options.supervisor);
  if (!target.ok()) return cli.FailTarget(target.status(), options.supervisor);
  int code = kDone;
  if (!cli.Confirm(fmt::format("Stop supervisor {}: everything under it will be stopped",
                               options.supervisor),
                   options.yes, &code)) {
    return code;
  }
  *request.mutable_supervisor() = *target;
  request.set_request_id(client::NewRequestId());
  v1::StopSupervisorResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::StopSupervisor,
                                                     request, &response, client::kSafe);
  if (!error.ok())
    return cli.Fail(error, {.supervisor = options.supervisor, .name = options.supervisor});
  return PrintOne(cli, response, options.supervisor, [&] {
    cli.out() << fmt::format(
        "{} stopped: {}\n", options.supervisor,
        response.has_exit_reason() ? client::FormatExitReason(response.exit_reason()) : "shutdown");
  });
}

int RunSupList(Cli& cli, const SupListOptions& options) {
  v1::ListSupervisorsRequest request;
  request.set_page_size(1000);
  request.set_all_levels(options.all);
  v1::ListSupervisorsResponse all;
  auto error = client::ListAll<v1::Supervisors, decltype(&v1::Supervisors::Stub::ListSupervisors),
                               v1::ListSupervisorsRequest, v1::ListSupervisorsResponse>(
      &cli.session(), &v1::Supervisors::Stub::ListSupervisors, request, &all,
      [](v1::ListSupervisorsResponse* sum, const v1::ListSupervisorsResponse& page) {
        sum->MergeFrom(page);
      });
  if (!error.ok()) return cli.Fail(error);
  return PrintList(
      cli, all, all.supervisors(),
      [&](const v1::SupervisorInfo& sup) {
        return NameOf(sup).empty() ? cli.Pid(sup.pid()) : NameOf(sup);
      },
      [&] { PrintTable(cli, all); });
}

int RunSupGet(Cli& cli, const SupGetOptions& options) {
  // There is no RPC for one supervisor: the top of its tree is it.
  v1::GetTreeRequest request;
  auto target = cli.Supervisor(options.supervisor);
  if (!target.ok()) return cli.FailTarget(target.status(), options.supervisor);
  *request.mutable_supervisor() = *target;
  request.set_depth(1);
  v1::GetTreeResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::GetTree, request,
                                                     &response, client::kSafe);
  if (!error.ok())
    return cli.Fail(error, {.supervisor = options.supervisor, .name = options.supervisor});
  const v1::SupervisorInfo& sup = response.root().supervisor();
  return PrintOne(cli, sup, NameOf(sup), [&] {
    Facts facts;
    facts.Add("Name", NameOf(sup));
    facts.Add("Strategy", StrategyText(sup.spec()));
    facts.Add("Where",
              sup.cluster_wide() ? "cluster (kept by the coordinator)" : cli.Pid(sup.pid()));
    facts.Add("Parent", sup.has_parent() ? cli.Pid(sup.parent()) : "");
    facts.Add("Auto-shutdown", sup.spec().auto_shutdown() > v1::SupervisorSpec::AUTO_SHUTDOWN_NEVER
                                   ? Word(sup.spec().auto_shutdown())
                                   : "");
    facts.Add("Children", fmt::format("{} active of {} specs: {} supervisors, {} workers",
                                      sup.counts().active(), sup.counts().specs(),
                                      sup.counts().supervisors(), sup.counts().workers()));
    facts.Add("Restarts", fmt::format("{} in the present period", sup.recent_restarts()));
    facts.Add("Template",
              sup.spec().has_child_template() ? sup.spec().child_template().start().module() : "");
    facts.Add("Up", Age(sup.start_time()));
    facts.Print(cli);
  });
}

}  // namespace banyan::cli

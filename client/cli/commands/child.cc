#include <ostream>

#include "client/cli/commands/child_flags.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/payload.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/supervisors.grpc.pb.h"

namespace banyan::cli {
namespace {

std::string Pids(Cli& cli, const v1::ChildInfo& child) { return cli.Pid(child.pid()); }

void TellPending(Cli& cli, const std::string& id, const v1::PendingOperation& pending) {
  cli.out() << fmt::format(
      "{}: pending, {}; certain by {} at the latest\n"
      "  operation {}; wait for it: banyan wait --for op/{}\n",
      id, pending.message(), Clock(pending.latest_time()), pending.operation_id(),
      pending.operation_id());
}

// Resolves the supervisor into any request that has one.
template <typename Request>
int SetSupervisor(Cli& cli, const std::string& text, Request* request) {
  auto target = cli.Supervisor(text);
  if (!target.ok()) return cli.FailTarget(target.status(), text);
  *request->mutable_supervisor() = *target;
  return kDone;
}

HintContext Context(const ChildOptions& options) {
  return {.supervisor = options.supervisor, .child = options.child};
}

}  // namespace

int ParseWord(Cli& cli, std::string_view flag, const std::string& word,
              const google::protobuf::EnumDescriptor* type, int* value) {
  *value = word.empty() ? 0 : EnumFromWord(type, word);
  if (*value >= 0) return kDone;
  return cli.Usage(fmt::format("{}: \"{}\" is not one of {}", flag, word, EnumWords(type)));
}

int BuildArgs(Cli& cli, const std::string& text,
              google::protobuf::RepeatedPtrField<v1::Payload>* args) {
  if (text.empty()) return kDone;
  auto json = cli.ReadArgument(text);
  if (!json.ok()) return cli.Usage(fmt::format("--args: {}", std::string(json.status().message())));
  auto payloads = client::PayloadsFromJson(*json, &cli.types());
  if (!payloads.ok())
    return cli.Usage(fmt::format("--args: {}", std::string(payloads.status().message())));
  for (v1::Payload& payload : *payloads) *args->Add() = std::move(payload);
  return kDone;
}

int BuildChildSpec(Cli& cli, const ChildFlags& flags, v1::ChildSpec* spec) {
  spec->set_id(flags.id);
  spec->mutable_start()->set_module(flags.module);
  spec->mutable_start()->set_name(flags.name);
  spec->set_significant(flags.significant);
  if (!flags.node.empty()) spec->mutable_placement()->set_node(flags.node);
  if (flags.available) spec->set_exclusivity(v1::EXCLUSIVITY_AVAILABLE);
  int value = 0;
  if (int code = ParseWord(cli, "--restart", flags.restart, v1::RestartType_descriptor(), &value))
    return code;
  spec->set_restart(static_cast<v1::RestartType>(value));
  if (int code = ParseWord(cli, "--type", flags.type, v1::ChildType_descriptor(), &value))
    return code;
  spec->set_type(static_cast<v1::ChildType>(value));
  if (!flags.shutdown.empty()) {
    auto shutdown = client::ParseShutdown(flags.shutdown);
    if (!shutdown.ok())
      return cli.Usage(fmt::format("--shutdown: {}", std::string(shutdown.status().message())));
    *spec->mutable_shutdown() = *shutdown;
  }
  return BuildArgs(cli, flags.args, spec->mutable_start()->mutable_args());
}

int RunChildStart(Cli& cli, const ChildStartOptions& options) {
  const ChildFlags& flags = options.child;
  v1::StartChildRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  if (flags.id.empty() && flags.module.empty()) {
    if (int code = BuildArgs(cli, flags.args, request.mutable_extra_args()->mutable_args()))
      return code;
  } else {
    if (flags.id.empty()) return cli.Usage("--id is missing: a child with a --module needs an id");
    if (flags.module.empty())
      return cli.Usage("--module is missing: a child with an --id needs a module");
    if (int code = BuildChildSpec(cli, flags, request.mutable_spec())) return code;
  }
  request.set_request_id(client::NewRequestId());
  v1::StartChildResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::StartChild, request,
                                                     &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, {.supervisor = options.supervisor, .child = flags.id});
  const v1::ChildInfo& child = response.child();
  return PrintOne(cli, response, child.has_pid() ? Pids(cli, child) : child.id(), [&] {
    if (response.ignored()) {
      cli.out() << fmt::format("{} not started: init said \"ignore\"\n", child.id());
    } else if (!child.has_pid()) {
      cli.out() << fmt::format("{} {}{}{}\n", child.id(), Word(child.state()),
                               child.state_reason().empty() ? "" : ": ", child.state_reason());
    } else {
      cli.out() << fmt::format("started {}{}{}\n", Pids(cli, child),
                               child.node().empty() ? "" : " on ", child.node());
    }
  });
}

int RunChildTerminate(Cli& cli, const ChildOptions& options) {
  v1::TerminateChildRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  request.set_child_id(options.child);
  request.set_request_id(client::NewRequestId());
  v1::TerminateChildResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::TerminateChild,
                                                     request, &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintOne(cli, response, options.child, [&] {
    if (response.has_pending()) {
      TellPending(cli, options.child, response.pending());
    } else if (response.has_exit_reason()) {
      cli.out() << fmt::format("{} stopped: {}\n", options.child,
                               client::FormatExitReason(response.exit_reason()));
    } else {
      cli.out() << fmt::format("{} is stopped\n", options.child);
    }
  });
}

int RunChildRestart(Cli& cli, const ChildOptions& options) {
  v1::RestartChildRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  request.set_child_id(options.child);
  request.set_running_too(options.running_too);
  request.set_request_id(client::NewRequestId());
  v1::RestartChildResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::RestartChild, request,
                                                     &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, Context(options));
  const v1::ChildInfo& child = response.child();
  return PrintOne(cli, response, child.has_pid() ? Pids(cli, child) : options.child, [&] {
    if (response.ignored()) {
      cli.out() << fmt::format("{} not started: init said \"ignore\"\n", options.child);
    } else if (child.has_pid()) {
      cli.out() << fmt::format("{} restarted as {}\n", options.child, Pids(cli, child));
    } else {
      cli.out() << fmt::format("{} {}\n", options.child, Word(child.state()));
    }
  });
}

int RunChildDelete(Cli& cli, const ChildOptions& options) {
  v1::DeleteChildRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  request.set_child_id(options.child);
  request.set_request_id(client::NewRequestId());
  v1::DeleteChildResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::DeleteChild, request,
                                                     &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintOne(cli, response, options.child,
                  [&] { cli.out() << fmt::format("{} deleted\n", options.child); });
}

int RunChildSpec(Cli& cli, const ChildOptions& options) {
  v1::GetChildSpecRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  request.set_child_id(options.child);
  v1::GetChildSpecResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::GetChildSpec, request,
                                                     &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintOne(cli, response, response.spec().id(), [&] {
    cli.out() << JsonToYaml(client::MessageToJson(response.spec(), &cli.types(), false)) << "\n";
  });
}

int RunChildList(Cli& cli, const ChildOptions& options) {
  v1::ListChildrenRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  request.set_page_size(1000);
  v1::ListChildrenResponse all;
  auto error = client::ListAll<v1::Supervisors, decltype(&v1::Supervisors::Stub::ListChildren),
                               v1::ListChildrenRequest, v1::ListChildrenResponse>(
      &cli.session(), &v1::Supervisors::Stub::ListChildren, request, &all,
      [](v1::ListChildrenResponse* sum, const v1::ListChildrenResponse& page) {
        sum->MergeFrom(page);
      });
  if (!error.ok()) return cli.Fail(error, Context(options));
  return PrintList(
      cli, all, all.children(), [](const v1::ChildInfo& child) { return child.id(); },
      [&] {
        const bool wide = cli.options().output == Format::kWide;
        std::vector<std::string> headers = {"ID",     "TYPE",      "STATE", "PID",
                                            "MODULE", ">RESTARTS", ">AGE"};
        if (wide) headers.insert(headers.end(), {"NODE", ">FENCE", "LAST EXIT", "REASON"});
        Table table(headers);
        for (const v1::ChildInfo& child : all.children()) {
          std::vector<std::string> row = {
              child.id(),
              child.type() == v1::CHILD_TYPE_SUPERVISOR ? "supervisor" : "worker",
              Colored(cli, Word(child.state())),
              Pids(cli, child),
              child.module().empty() ? "-" : child.module(),
              Count(child.restarts()),
              Age(child.start_time())};
          if (wide) {
            row.insert(
                row.end(),
                {child.node().empty() ? "-" : child.node(), FenceText(child.fence()),
                 child.has_last_exit_reason() ? client::FormatExitReason(child.last_exit_reason())
                                              : "-",
                 child.state_reason().empty() ? "-" : child.state_reason()});
          }
          table.Add(row);
        }
        table.Print(cli);
      });
}

int RunChildCount(Cli& cli, const ChildOptions& options) {
  v1::CountChildrenRequest request;
  if (int code = SetSupervisor(cli, options.supervisor, &request)) return code;
  v1::CountChildrenResponse response;
  auto error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::CountChildren, request,
                                                     &response, client::kSafe);
  if (!error.ok()) return cli.Fail(error, Context(options));
  const v1::ChildCounts& counts = response.counts();
  return PrintOne(cli, response, std::to_string(counts.active()), [&] {
    Table table({">SPECS", ">ACTIVE", ">SUPERVISORS", ">WORKERS"});
    table.Add({std::to_string(counts.specs()), std::to_string(counts.active()),
               std::to_string(counts.supervisors()), std::to_string(counts.workers())});
    table.Print(cli);
  });
}

}  // namespace banyan::cli

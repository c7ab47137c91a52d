#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/payload.h"
#include <fmt/format.h>

#include "banyan/v1/sys.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr client::CallOptions kChange = {.retry = client::Retry::kNotExecuted};

// Sends `request` for the target and, if that went well, prints: the structured formats `response`,
// -q and -o name the target, else what `human` writes.
template <typename Request, typename Response>
int Ask(Cli& cli, const std::string& text,
        grpc::Status (v1::Sys::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
        Request request, const client::CallOptions& options,
        const std::function<void(const Response&)>& human) {
  auto target = cli.Target(text);
  if (!target.ok()) return cli.FailTarget(target.status(), text);
  *request.mutable_target() = *target;
  Response response;
  auto error = cli.session().Invoke<v1::Sys>(method, request, &response, options);
  if (!error.ok()) return cli.Fail(error, {.target = text, .name = text});
  return PrintOne(cli, response, text, [&] { human(response); });
}

// A payload argument: JSON, or @FILE. Empty: none.
int ReadPayload(Cli& cli, const std::string& argument, v1::Payload* payload) {
  if (argument.empty()) return kDone;
  auto json = cli.ReadArgument(argument);
  if (!json.ok()) return cli.Usage(std::string(json.status().message()));
  auto built = client::PayloadFromJson(*json, &cli.types());
  if (!built.ok())
    return cli.Usage(fmt::format("payload: {}", std::string(built.status().message())));
  *payload = *std::move(built);
  return kDone;
}

std::string StateText(Cli& cli, const v1::Payload& state) {
  return client::PayloadToJson(state, &cli.types(), true);
}

void PrintStatus(Cli& cli, const v1::GetStatusResponse& status) {
  Facts facts;
  facts.Add("Pid", cli.Pid(status.actor().pid()));
  facts.Add("Names", fmt::format("{}", fmt::join(status.actor().names(), ", ")));
  facts.Add("Kind", status.engine());
  facts.Add("Module", status.actor().module());
  facts.Add("State", Colored(cli, Word(status.actor().state())));
  facts.Add("In state", status.state_name());
  facts.Add("Mailbox", Count(status.actor().mailbox_length()));
  facts.Add("Debug", fmt::format("{}", fmt::join(status.debug(), ", ")));
  std::string ancestors;
  for (const v1::Pid& pid : status.ancestors())
    ancestors += (ancestors.empty() ? "" : ", ") + cli.Pid(pid);
  facts.Add("Ancestors", ancestors);
  for (const auto& [key, text] : status.items()) facts.Add(key, text);
  facts.Add("Note", status.note());
  facts.Print(cli);
  if (status.has_state()) cli.out() << StateText(cli, status.state()) << "\n";
  for (const v1::SysEvent& event : status.log()) cli.out() << "  " << event.text() << "\n";
}

}  // namespace

int RunActorState(Cli& cli, const TargetOptions& options) {
  return Ask<v1::GetStateRequest, v1::GetStateResponse>(
      cli, options.target, &v1::Sys::Stub::GetState, {}, client::kSafe,
      [&](const v1::GetStateResponse& r) { cli.out() << StateText(cli, r.state()) << "\n"; });
}

int RunActorSetState(Cli& cli, const ActorSysOptions& options) {
  v1::ReplaceStateRequest request;
  if (int code = ReadPayload(cli, options.json, request.mutable_state())) return code;
  return Ask<v1::ReplaceStateRequest, v1::ReplaceStateResponse>(
      cli, options.target, &v1::Sys::Stub::ReplaceState, std::move(request), kChange,
      [&](const v1::ReplaceStateResponse&) {
        cli.out() << "replaced the state of " << options.target << "\n";
      });
}

int RunActorStatus(Cli& cli, const TargetOptions& options) {
  return Ask<v1::GetStatusRequest, v1::GetStatusResponse>(
      cli, options.target, &v1::Sys::Stub::GetStatus, {}, client::kSafe,
      [&](const v1::GetStatusResponse& r) { PrintStatus(cli, r); });
}

int RunActorStats(Cli& cli, const TargetOptions& options) {
  return Ask<v1::GetStatisticsRequest, v1::GetStatisticsResponse>(
      cli, options.target, &v1::Sys::Stub::GetStatistics, {}, client::kSafe,
      [&](const v1::GetStatisticsResponse& r) {
        if (!r.on()) {
          cli.out() << fmt::format("no statistics: banyan actor debug {} --stats on\n",
                                   options.target);
          return;
        }
        Facts facts;
        facts.Add("Since", Age(r.start_time()));
        facts.Add("Messages in", Count(r.messages_in()));
        facts.Add("Replies out", Count(r.messages_out()));
        facts.Add("Reductions", Count(r.reductions()));
        facts.Print(cli);
      });
}

int RunActorDebug(Cli& cli, const ActorSysOptions& options) {
  v1::SetDebugRequest request;
  if (options.log) request.set_log_events(*options.log);
  if (options.stats == "on" || options.stats == "off") {
    request.set_statistics(options.stats == "on");
  } else if (!options.stats.empty()) {
    return cli.Usage(fmt::format("--stats: \"{}\" is neither on nor off", options.stats));
  }
  return Ask<v1::SetDebugRequest, v1::SetDebugResponse>(
      cli, options.target, &v1::Sys::Stub::SetDebug, std::move(request), client::kSafe,
      [&](const v1::SetDebugResponse& r) { cli.out() << "set for " << cli.Pid(r.pid()) << "\n"; });
}

int RunActorSuspend(Cli& cli, const ActorSysOptions& options) {
  v1::SuspendRequest request;
  if (!options.duration.empty()) {
    auto duration = client::ParseDuration(options.duration);
    if (!duration.ok())
      return cli.Usage(fmt::format("--for: {}", std::string(duration.status().message())));
    *request.mutable_max_duration() = client::ToProto(*duration);
  }
  return Ask<v1::SuspendRequest, v1::SuspendResponse>(
      cli, options.target, &v1::Sys::Stub::Suspend, std::move(request), client::kSafe,
      [&](const v1::SuspendResponse& r) {
        cli.out() << "suspended " << cli.Pid(r.pid());
        if (!options.duration.empty()) cli.out() << "; resumes by itself in " << options.duration;
        cli.out() << "\n";
      });
}

int RunActorResume(Cli& cli, const TargetOptions& options) {
  return Ask<v1::ResumeRequest, v1::ResumeResponse>(
      cli, options.target, &v1::Sys::Stub::Resume, {}, client::kSafe,
      [&](const v1::ResumeResponse& r) {
        cli.out() << fmt::format("resumed {}; {} messages had piled up\n", options.target,
                                 r.mailbox_length());
      });
}

int RunActorChangeCode(Cli& cli, const ActorSysOptions& options) {
  v1::ChangeCodeRequest request;
  request.set_old_version(options.from);
  request.set_down(options.down);
  if (int code = ReadPayload(cli, options.json, request.mutable_extra())) return code;
  return Ask<v1::ChangeCodeRequest, v1::ChangeCodeResponse>(
      cli, options.target, &v1::Sys::Stub::ChangeCode, std::move(request), kChange,
      [&](const v1::ChangeCodeResponse& r) {
        cli.out() << fmt::format("changed the code of {}; it is suspended still\n",
                                 cli.Pid(r.pid()));
      });
}

int RunActorTerminate(Cli& cli, const ActorSysOptions& options) {
  v1::TerminateRequest request;
  const int kind = EnumFromWord(v1::ExitReason::Kind_descriptor(), options.reason);
  if (kind <= 0) {
    return cli.Usage(fmt::format("--reason: \"{}\" is not one of {}", options.reason,
                                 EnumWords(v1::ExitReason::Kind_descriptor())));
  }
  request.mutable_reason()->set_kind(static_cast<v1::ExitReason::Kind>(kind));
  int code = kDone;
  if (!cli.Confirm(fmt::format("Tell {} to end with reason {}", options.target, options.reason),
                   options.yes, &code)) {
    return code;
  }
  return Ask<v1::TerminateRequest, v1::TerminateResponse>(
      cli, options.target, &v1::Sys::Stub::Terminate, std::move(request), kChange,
      [&](const v1::TerminateResponse& r) {
        cli.out() << fmt::format("told {} to end: {}\n", cli.Pid(r.pid()), options.reason);
      });
}

}  // namespace banyan::cli

#include "client/cli/errors.h"

#include <ostream>
#include <vector>

#include "client/cli/cli.h"
#include <fmt/format.h>

namespace banyan::cli {
namespace {

std::string Variable(const client::ApiError& error, const std::string& key,
                     const std::string& otherwise) {
  auto it = error.metadata.find(key);
  return it == error.metadata.end() || it->second.empty() ? otherwise : it->second;
}

std::string Quoted(const std::string& text) { return text.empty() ? "TARGET" : text; }

// Everything up to the last '/', so that near misses are listed.
std::string PrefixOf(const std::string& name) { return name.substr(0, name.rfind('/') + 1); }

std::string Hint(const client::ApiError& error, const HintContext& context) {
  const std::string& reason = error.reason;
  const std::string sup =
      Variable(error, "supervisor", context.supervisor.empty() ? "SUP" : context.supervisor);
  const std::string child =
      Variable(error, "childId", context.child.empty() ? "ID" : context.child);
  const std::string name = Variable(error, "name", context.name);
  if (!error.connected) {
    return "is a node or the coordinator running there? Another address: --addr HOST:PORT or "
           "BANYAN_ADDR";
  }
  if (reason == "NAME_NOT_REGISTERED") {
    const std::string prefix = PrefixOf(name);
    std::string hint = prefix.empty() ? "banyan name list" : "banyan name list " + prefix;
    // A child of a local supervisor has its name on its node alone.
    if (context.target.empty() || context.target.find('@') != std::string::npos) return hint;
    return fmt::format("{}; a name of one node is {}@NODE", hint, name);
  }
  if (reason == "NAME_TAKEN")
    return fmt::format("banyan name lookup {}", name.empty() ? "NAME" : name);
  if (reason == "NOPROC") return "banyan actor list";
  if (reason == "CHILD_NOT_FOUND") return fmt::format("banyan child list {}", sup);
  if (reason == "CHILD_ALREADY_STARTED") return fmt::format("banyan child list {}", sup);
  if (reason == "CHILD_ALREADY_PRESENT")
    return fmt::format("banyan child restart {} {}", sup, child);
  if (reason == "CHILD_RUNNING") return fmt::format("banyan child terminate {} {}", sup, child);
  if (reason == "CHILD_RESTARTING") return fmt::format("banyan child list {}", sup);
  if (reason == "CHILD_START_FAILED" || reason == "START_FAILED")
    return "banyan events --kind child_start_failed -f";
  if (reason == "START_TIMEOUT") return "a longer start.start_timeout";
  if (reason == "NODE_NOT_FOUND") return "banyan node list";
  if (reason == "NOT_A_SUPERVISOR") return "banyan sup list --all";
  if (reason == "SIMPLE_ONE_FOR_ONE") {
    return fmt::format("its children are made from a template: banyan child start {} --args '[..]'",
                       sup);
  }
  if (reason == "CALL_TIMEOUT" || reason == "MAILBOX_FULL" || reason == "CALL_NOT_HANDLED") {
    return fmt::format("banyan actor get {}", Quoted(context.target));
  }
  if (reason == "CALLEE_EXITED") return fmt::format("banyan whereis {}", Quoted(context.target));
  if (reason == "NO_NODE_FITS") return "banyan node list -o wide";
  if (reason == "COORDINATOR_UNAVAILABLE" || reason == "NO_QUORUM" || reason == "RECOVERING")
    return "banyan status";
  if (reason == "RESUME_TOKEN_EXPIRED") return "start over without --since";
  if (error.code == grpc::StatusCode::DEADLINE_EXCEEDED)
    return "a longer --timeout, or banyan status";
  if (error.code == grpc::StatusCode::UNIMPLEMENTED && reason.empty()) {
    return "the server may be an older release: banyan version";
  }
  return "";
}

std::string ReasonLine(const client::ApiError& error) {
  std::string line = error.reason;
  std::string variables;
  for (const char* key :
       {"node", "pid", "limit", "limitBytes", "timeoutMs", "type", "role", "leader", "etag"}) {
    const std::string value = Variable(error, key, "");
    if (!value.empty())
      variables += fmt::format("{}{} {}", variables.empty() ? "" : ", ", key, value);
  }
  if (!variables.empty()) line += fmt::format(" ({})", variables);
  const auto append = [&](std::string_view text) {
    line += fmt::format("{}{}", line.empty() ? "" : "; ", text);
  };
  if (!error.connected) append("no connection; nothing was sent");
  if (error.from_actor) append("the process's own answer");
  if (error.outcome() == "not_executed") append("the call did not run");
  if (error.outcome() == "unknown") append("the call may have run");
  return line;
}

}  // namespace

int ExitCodeOf(const client::ApiError& error) {
  switch (error.code) {
    case grpc::StatusCode::OK:
      return kDone;
    case grpc::StatusCode::NOT_FOUND:
      return kNotFound;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return kForbidden;
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return kConflict;
    case grpc::StatusCode::ABORTED:
      return error.reason == "ETAG_MISMATCH" ? kConflict : kRefused;
    case grpc::StatusCode::UNAVAILABLE:
      return kUnavailable;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return kDeadline;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return kExhausted;
    case grpc::StatusCode::UNIMPLEMENTED:
      return kUnimplemented;
    default:
      return kRefused;
  }
}

void PrintError(std::ostream& err, const client::ApiError& error, const HintContext& context,
                bool color) {
  err << fmt::format("{}error:{} {}: {}\n", color ? "\033[31m" : "", color ? "\033[0m" : "",
                     client::CodeWords(error.code),
                     error.message.empty() ? "no further text" : error.message);
  if (const std::string reason = ReasonLine(error); !reason.empty())
    err << fmt::format("  reason  {}\n", reason);
  if (error.exit_reason)
    err << fmt::format("  exit    {}\n", client::FormatExitReason(*error.exit_reason));
  for (const auto& [field, problem] : error.fields)
    err << fmt::format("  field   {}: {}\n", field, problem);
  for (const std::string& condition : error.preconditions)
    err << fmt::format("  first   {}\n", condition);
  if (const std::string hint = Hint(error, context); !hint.empty())
    err << fmt::format("  hint    {}\n", hint);
}

}  // namespace banyan::cli

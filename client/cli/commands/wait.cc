#include <algorithm>
#include <optional>
#include <ostream>

#include "absl/time/clock.h"
#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include <fmt/format.h>

#include "banyan/v1/cluster.grpc.pb.h"
#include "banyan/v1/registry.grpc.pb.h"
#include "banyan/v1/supervisors.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);
// One look never takes longer: a server that hangs must not use up the whole wait.
constexpr absl::Duration kLookTimeout = absl::Seconds(5);

struct Condition {
  std::string text;
  std::string noun;
  std::string name;
  std::string state;
};

struct Look {
  bool satisfied = false;
  std::string now;         // what was seen, for the message at the end
  client::ApiError error;  // not OK: could not look
};

client::CallOptions LookOptions(absl::Time end) {
  return {.timeout = std::max(absl::Milliseconds(1), std::min(kLookTimeout, end - absl::Now()))};
}

Look LookAtNode(Cli& cli, const Condition& condition, absl::Time end) {
  v1::GetNodeRequest request;
  request.set_name(condition.name);
  v1::GetNodeResponse response;
  Look look;
  look.error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::GetNode, request, &response,
                                                 LookOptions(end));
  if (look.error.code == grpc::StatusCode::NOT_FOUND) {
    look.error = {};
    look.now = "gone";
  } else if (look.error.ok()) {
    look.now = Word(response.node().state());
    if (condition.state == "drained" && response.node().drain().has_end_time())
      look.now = "drained";
  }
  look.satisfied = look.error.ok() && look.now == condition.state;
  return look;
}

// CHILD is SUP/ID, SUP being a path or, with a prefix, any target; an id has no '/'.
Look LookAtChild(Cli& cli, const Condition& condition, absl::Time end) {
  Look look;
  const size_t slash = condition.name.rfind('/');
  auto supervisor = cli.Supervisor(condition.name.substr(0, slash));
  if (!supervisor.ok()) {
    look.error = client::LocalError(supervisor.status());
    return look;
  }
  const std::string id = condition.name.substr(slash + 1);
  v1::ListChildrenRequest request;
  *request.mutable_supervisor() = *supervisor;
  request.set_page_size(1000);
  look.now = "gone";
  for (;;) {
    v1::ListChildrenResponse page;
    look.error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::ListChildren,
                                                       request, &page, LookOptions(end));
    if (look.error.code == grpc::StatusCode::NOT_FOUND) look.error = {};
    for (const v1::ChildInfo& child : page.children()) {
      if (child.id() == id) look.now = Word(child.state());
    }
    const bool last =
        page.next_page_token().empty() || page.next_page_token() == request.page_token();
    if (!look.error.ok() || look.now != "gone" || last) break;
    request.set_page_token(page.next_page_token());
  }
  look.satisfied = look.error.ok() && look.now == condition.state;
  return look;
}

Look LookAtName(Cli& cli, const Condition& condition, absl::Time end) {
  v1::LookupRequest request;
  request.set_name(condition.name);
  v1::LookupResponse response;
  Look look;
  look.error = cli.session().Invoke<v1::Registry>(&v1::Registry::Stub::Lookup, request, &response,
                                                  LookOptions(end));
  if (look.error.code == grpc::StatusCode::NOT_FOUND) {
    look.error = {};
    look.now = "gone";
  } else if (look.error.ok()) {
    look.now = response.starting() ? "starting" : "registered";
  }
  look.satisfied = look.error.ok() && look.now == condition.state;
  return look;
}

// An operation that was answered as pending. How it ended is told; that it did is what counts.
Look LookAtOperation(Cli& cli, const Condition& condition, absl::Time end) {
  v1::WaitOperationRequest request;
  request.set_operation_id(condition.name);
  v1::WaitOperationResponse response;
  Look look;
  look.error = cli.session().Invoke<v1::Supervisors>(&v1::Supervisors::Stub::WaitOperation, request,
                                                     &response, LookOptions(end));
  if (look.error.ok()) {
    look.now = response.done() ? response.result() : "pending";
    look.satisfied = response.done();
  }
  return look;
}

bool Contains(const google::protobuf::EnumDescriptor* type, const std::string& word) {
  return EnumFromWord(type, word) > 0;
}

// Reads NOUN/NAME[=STATE]; tells what is wrong and returns nothing if it can't.
std::optional<Condition> ParseCondition(Cli& cli, const std::string& text, int* code) {
  Condition condition{.text = text};
  const size_t slash = text.find('/');
  const size_t equals = text.rfind('=');
  condition.noun = text.substr(0, slash);
  if (slash != std::string::npos) {
    condition.name =
        text.substr(slash + 1, equals == std::string::npos ? equals : equals - slash - 1);
  }
  if (equals != std::string::npos && equals > slash) condition.state = text.substr(equals + 1);
  std::string problem;
  if (condition.name.empty()) {
    problem = "the form is NOUN/NAME=STATE";
  } else if (condition.noun == "node") {
    if (condition.state.empty()) condition.state = "active";
    if (condition.state != "drained" && condition.state != "gone" &&
        !Contains(v1::NodeState_descriptor(), condition.state)) {
      problem = fmt::format("a node's states are {}, drained, gone",
                            EnumWords(v1::NodeState_descriptor()));
    }
  } else if (condition.noun == "child") {
    if (condition.state.empty()) condition.state = "running";
    if (condition.state != "gone" && !Contains(v1::ChildState_descriptor(), condition.state)) {
      problem =
          fmt::format("a child's states are {}, gone", EnumWords(v1::ChildState_descriptor()));
    } else if (condition.name.find('/') == std::string::npos) {
      problem = "a child is child/SUP/ID";
    }
  } else if (condition.noun == "name") {
    if (condition.state.empty()) condition.state = "registered";
    if (condition.state != "registered" && condition.state != "gone")
      problem = "a name is registered or gone";
  } else if (condition.noun == "op") {
    condition.state = "done";
  } else {
    problem = "the nouns are node, child, name, op";
  }
  if (problem.empty()) return condition;
  *code = cli.Usage(fmt::format("--for: \"{}\": {}", text, problem),
                    "e.g. node/n2=active, child/shop/cart=running, name/counter, op/ID");
  return std::nullopt;
}

Look LookAt(Cli& cli, const Condition& condition, absl::Time end) {
  if (condition.noun == "node") return LookAtNode(cli, condition, end);
  if (condition.noun == "child") return LookAtChild(cli, condition, end);
  if (condition.noun == "op") return LookAtOperation(cli, condition, end);
  return LookAtName(cli, condition, end);
}

// Errors that time may mend: nobody there yet, or too busy to answer.
bool MayPass(const client::ApiError& error) {
  return error.ok() || error.code == grpc::StatusCode::UNAVAILABLE ||
         error.code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         error.code == grpc::StatusCode::RESOURCE_EXHAUSTED;
}

int WaitFor(Cli& cli, const Condition& condition, absl::Time end) {
  absl::Duration pause = kFirstPause;
  for (;;) {
    const Look look = LookAt(cli, condition, end);
    if (look.satisfied) {
      if (!cli.names_only())
        cli.out() << fmt::format("{}/{} {}\n", condition.noun, condition.name, look.now);
      return kDone;
    }
    if (!MayPass(look.error)) return cli.Fail(look.error);
    if (absl::Now() + pause >= end) {
      if (!look.error.ok()) return cli.Fail(look.error);
      cli.err() << fmt::format("not satisfied: {}/{} is {}, not {}\n", condition.noun,
                               condition.name, look.now, condition.state);
      return kNo;
    }
    if (look.error.code == grpc::StatusCode::UNAVAILABLE) cli.session().Disconnect();
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

}  // namespace

int RunWait(Cli& cli, const WaitOptions& options) {
  std::vector<Condition> conditions;
  for (const std::string& text : options.conditions) {
    int code = kDone;
    auto condition = ParseCondition(cli, text, &code);
    if (!condition) return code;
    conditions.push_back(*std::move(condition));
  }
  if (conditions.empty())
    return cli.Usage("nothing to wait for", "banyan wait --for node/n2=active");
  const absl::Time end = absl::Now() + cli.options().timeout;
  for (const Condition& condition : conditions) {
    if (int code = WaitFor(cli, condition, end)) return code;
  }
  return kDone;
}

}  // namespace banyan::cli

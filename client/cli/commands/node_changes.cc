// What operators do to nodes: labels, capacity, cordon, drain, and the word that one is dead.
#include <charconv>
#include <optional>
#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::cli {
namespace {

template <typename Response>
int Done(Cli& cli, const client::ApiError& error, const Response& response, const std::string& name,
         const std::string& what) {
  if (!error.ok()) return cli.Fail(error);
  return PrintOne(cli, response, name, [&] { cli.out() << fmt::format("{} {}\n", name, what); });
}

// KEY=VALUE sets, KEY- takes away.
struct KeyChange {
  std::string key;
  std::string value;
  bool remove = false;
};
std::optional<KeyChange> ParseKeyChange(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals != std::string::npos && equals > 0)
    return KeyChange{text.substr(0, equals), text.substr(equals + 1)};
  if (text.size() > 1 && text.back() == '-')
    return KeyChange{text.substr(0, text.size() - 1), "", true};
  return std::nullopt;
}

int RunUpdate(Cli& cli, const NodeChangeOptions& options, bool capacity) {
  v1::UpdateNodeRequest request;
  request.mutable_node()->set_name(options.name);
  request.set_request_id(client::NewRequestId());
  for (const std::string& text : options.changes) {
    const std::optional<KeyChange> change = ParseKeyChange(text);
    if (!change) return cli.Usage(fmt::format("\"{}\" is neither KEY=VALUE nor KEY-", text));
    request.mutable_update_mask()->add_paths(
        fmt::format("{}.{}", capacity ? "capacity" : "labels", change->key));
    if (change->remove) continue;
    if (!capacity) {
      (*request.mutable_node()->mutable_labels())[change->key] = change->value;
      continue;
    }
    int64_t amount = 0;
    const char* end = change->value.data() + change->value.size();
    const auto [at, error] = std::from_chars(change->value.data(), end, amount);
    if (error != std::errc() || at != end)
      return cli.Usage(fmt::format("\"{}\": the amount must be a whole number", text));
    (*request.mutable_node()->mutable_capacity())[change->key] = amount;
  }
  v1::UpdateNodeResponse response;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::UpdateNode, request, &response,
                                                 client::kSafe);
  return Done(cli, error, response, options.name, "changed");
}

// The incarnation that people mean: the present one.
client::ApiError Incarnation(Cli& cli, const std::string& name, uint32_t* incarnation) {
  v1::GetNodeRequest request;
  request.set_name(name);
  v1::GetNodeResponse response;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::GetNode, request, &response,
                                                 client::kSafe);
  *incarnation = response.node().incarnation();
  return error;
}

}  // namespace

int RunNodeLabel(Cli& cli, const NodeChangeOptions& options) {
  return RunUpdate(cli, options, /*capacity=*/false);
}

int RunNodeCapacity(Cli& cli, const NodeChangeOptions& options) {
  return RunUpdate(cli, options, /*capacity=*/true);
}

int RunNodeCordon(Cli& cli, const NodeActionOptions& options) {
  v1::CordonRequest request;
  v1::CordonResponse response;
  request.set_name(options.name);
  request.set_message(options.message);
  request.set_request_id(client::NewRequestId());
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::Cordon, request, &response,
                                                 client::kSafe);
  return Done(cli, error, response, options.name, "cordoned");
}

int RunNodeUncordon(Cli& cli, const NodeActionOptions& options) {
  v1::UncordonRequest request;
  v1::UncordonResponse response;
  request.set_name(options.name);
  request.set_request_id(client::NewRequestId());
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::Uncordon, request, &response,
                                                 client::kSafe);
  return Done(cli, error, response, options.name, "uncordoned");
}

int RunNodeConfirmDead(Cli& cli, const NodeActionOptions& options) {
  v1::ConfirmDeadRequest request;
  v1::ConfirmDeadResponse response;
  uint32_t incarnation = 0;
  if (auto error = Incarnation(cli, options.name, &incarnation); !error.ok())
    return cli.Fail(error);
  int code = kDone;
  if (!cli.Confirm(fmt::format("Declare incarnation {} of {} dead at once; if it is not, its "
                               "exclusive children run twice",
                               incarnation, options.name),
                   options.yes, &code)) {
    return code;
  }
  request.set_name(options.name);
  request.set_incarnation(incarnation);
  request.set_force(options.force);
  request.set_message(options.message);
  request.set_request_id(client::NewRequestId());
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::ConfirmDead, request,
                                                 &response, client::kSafe);
  return Done(cli, error, response, options.name, "is dead");
}

int RunNodeRemove(Cli& cli, const NodeActionOptions& options) {
  v1::RemoveNodeRequest request;
  v1::RemoveNodeResponse response;
  int code = kDone;
  if (!cli.Confirm(fmt::format("Forget {}, its number and what was said about it", options.name),
                   options.yes, &code)) {
    return code;
  }
  request.set_name(options.name);
  request.set_request_id(client::NewRequestId());
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::RemoveNode, request, &response,
                                                 client::kSafe);
  return Done(cli, error, response, options.name, "removed");
}

}  // namespace banyan::cli

#include <ostream>

#include "absl/time/clock.h"
#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/duration.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::cli {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(500);

client::ApiError Look(Cli& cli, const std::string& name, v1::GetNodeResponse* response) {
  v1::GetNodeRequest request;
  request.set_name(name);
  return cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::GetNode, request, response,
                                           client::kSafe);
}

// Until the drain is over, with a line whenever something has changed. An interrupt ends the
// program, not the drain.
int Follow(Cli& cli, const NodeDrainOptions& options) {
  std::string shown;
  for (;;) {
    v1::GetNodeResponse response;
    if (auto error = Look(cli, options.name, &response); !error.ok()) return cli.Fail(error);
    const v1::NodeInfo& node = response.node();
    const bool left = node.state() == v1::NODE_STATE_LEFT || node.state() == v1::NODE_STATE_DEAD;
    if (left || node.drain().has_end_time()) {
      return PrintOne(cli, response, options.name, [&] {
        cli.out() << fmt::format("{} {}\n", options.name, left ? Word(node.state()) : "is drained");
      });
    }
    if (!node.has_drain()) {
      cli.err() << fmt::format("the drain of {} was ended: it takes children again\n",
                               options.name);
      return kNo;
    }
    std::string line = fmt::format("{} moved, {} left", node.drain().moved_children(),
                                   node.drain().remaining_children());
    if (node.drain().stuck_size() > 0) {
      line += fmt::format(", {} of them fit nowhere else (", node.drain().stuck_size());
      for (int i = 0; i < node.drain().stuck_size(); ++i)
        line += (i == 0 ? "" : ", ") + cli.Pid(node.drain().stuck(i));
      line += ")";
    }
    if (line != shown) cli.err() << line << "\n";
    shown = line;
    absl::SleepFor(kLookEvery);
  }
}

}  // namespace

int RunNodeDrain(Cli& cli, const NodeDrainOptions& options) {
  if (options.attach) return Follow(cli, options);
  v1::DrainRequest request;
  request.set_name(options.name);
  request.set_no_deadline(options.no_deadline);
  request.set_max_parallel(options.max_parallel);
  request.set_message(options.message);
  request.set_then_leave(options.then_leave);
  request.set_request_id(client::NewRequestId());
  std::string when = options.no_deadline ? "never by force" : "by force after 1h";
  if (!options.deadline.empty()) {
    auto deadline = client::ParseDuration(options.deadline);
    if (!deadline.ok()) return cli.Usage("--deadline: " + std::string(deadline.status().message()));
    *request.mutable_deadline() = client::ToProto(*deadline);
    when = "by force after " + options.deadline;
  }
  v1::GetNodeResponse before;
  if (auto error = Look(cli, options.name, &before); !error.ok()) return cli.Fail(error);
  const auto weight = before.node().assigned().find("weight");
  int code = kDone;
  if (!cli.Confirm(fmt::format("Drain {}: its children (weight {}) are moved, {}", options.name,
                               weight == before.node().assigned().end() ? 0 : weight->second, when),
                   options.yes, &code)) {
    return code;
  }
  v1::DrainResponse response;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::Drain, request, &response,
                                                 client::kSafe);
  if (!error.ok()) return cli.Fail(error);
  if (!options.detach) return Follow(cli, options);
  return PrintOne(cli, response, options.name,
                  [&] { cli.out() << fmt::format("{} is being drained\n", options.name); });
}

}  // namespace banyan::cli

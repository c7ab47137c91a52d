#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/output.h"
#include "client/transport/request_id.h"
#include <fmt/format.h>

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::cli {

int RunRebalance(Cli& cli, const RebalanceOptions& options) {
  v1::RebalanceRequest request;
  request.set_validate_only(options.dry_run);
  request.set_max_moves(options.max_moves);
  request.set_request_id(client::NewRequestId());
  v1::RebalanceResponse response;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::Rebalance, request, &response,
                                                 client::kSafe);
  if (!error.ok()) return cli.Fail(error);
  const auto path = [](const v1::RebalanceResponse::Move& move) {
    return fmt::format("{}", fmt::join(move.path(), "/"));
  };
  return PrintList(cli, response, response.moves(), path, [&] {
    if (response.moves().empty()) {
      cli.out() << "nothing to move: loads are even, or what may be moved fits nowhere else\n";
      return;
    }
    Table table({"CHILD", "FROM", "TO"});
    for (const auto& move : response.moves())
      table.Add({path(move), move.from_node(), move.to_node()});
    table.Print(cli);
    cli.err() << fmt::format("{} {} moved, at most a hundredth of all children a minute\n",
                             response.moves_size(), options.dry_run ? "would be" : "will be");
    if (!response.operation_id().empty())
      cli.err() << fmt::format("banyan wait --for op/{} waits for it\n", response.operation_id());
  });
}

}  // namespace banyan::cli

#include <map>
#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/commands/node.h"
#include "client/cli/output.h"
#include <fmt/format.h>

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::cli {
namespace {

void AddProblem(const std::string& problem, std::string* all) {
  *all += fmt::format("{}{}", all->empty() ? "" : "; ", problem);
}

// What an operator should know, in one line; empty if all is well.
std::string Problems(const v1::GetClusterResponse& cluster, const v1::ListNodesResponse& nodes) {
  std::string problems;
  if (!cluster.coordinator_available()) AddProblem("the coordinator is not available", &problems);
  for (const std::string& alarm : cluster.alarms()) AddProblem(alarm, &problems);
  if (cluster.recovering()) AddProblem("a new coordinator is still learning the names", &problems);
  if (cluster.pending_children() > 0) {
    AddProblem(fmt::format("{} children are pending", cluster.pending_children()), &problems);
  }
  if (nodes.nodes_size() == 0) AddProblem("there are no nodes", &problems);
  for (const v1::NodeInfo& node : nodes.nodes()) {
    if (node.state() == v1::NODE_STATE_ACTIVE && !node.quarantined() && !node.frozen()) continue;
    std::string what = Word(node.state());
    if (node.quarantined()) what = "quarantined";
    if (node.frozen()) what = "frozen";
    if (node.state() == v1::NODE_STATE_DRAINING && node.has_drain()) {
      what += fmt::format(" ({} of {} children left)", node.drain().remaining_children(),
                          node.drain().remaining_children() + node.drain().moved_children());
    }
    AddProblem(fmt::format("{} is {}", node.name(), what), &problems);
  }
  return problems;
}

void PrintStatus(Cli& cli, const v1::GetClusterResponse& cluster,
                 const v1::ListNodesResponse& nodes) {
  const std::string coordinator =
      cluster.coordinator_available()
          ? fmt::format("coordinator {}, epoch {}", cluster.coordinator_leader(),
                        cluster.coordinator_epoch())
          : "no coordinator";
  cli.out() << fmt::format("Cluster   {}  ({} node{}, {})\n",
                           cluster.name().empty() ? "-" : cluster.name(), nodes.nodes_size(),
                           nodes.nodes_size() == 1 ? "" : "s", coordinator);
  cli.out() << fmt::format("Actors    {:<9}  Supervisors  {:<6}  Pending children  {}\n",
                           Count(cluster.actors()), cluster.supervisors(),
                           cluster.pending_children());
  cli.out() << fmt::format("Restarts  {} in the last minute\n", cluster.restarts_last_minute());
  for (const std::string& alarm : cluster.alarms())
    cli.out() << fmt::format("Alarm     {}\n", alarm);
  if (cluster.possible_level() > cluster.level()) {
    cli.out() << fmt::format(
        "Upgrade   all servers have feature level {}, {} is in force: banyan upgrade finalize\n",
        cluster.possible_level(), cluster.level());
  }
  if (nodes.nodes_size() == 0) return;
  cli.out() << "\n";
  NodeTable(cli, nodes).Print(cli);
}

}  // namespace

int RunStatus(Cli& cli, const StatusOptions& options) {
  v1::GetClusterResponse cluster;
  if (auto error = cli.session().Invoke<v1::Cluster>(
          &v1::Cluster::Stub::GetCluster, v1::GetClusterRequest(), &cluster, client::kSafe);
      !error.ok()) {
    return cli.Fail(error);
  }
  v1::ListNodesResponse nodes;
  if (auto error = FetchNodes(cli, v1::ListNodesRequest(), &nodes); !error.ok())
    return cli.Fail(error);
  const std::string problems = Problems(cluster, nodes);
  if (options.check) {
    if (cli.structured()) {
      PrintMessage(cli, cluster);
    } else {
      cli.out() << (problems.empty() ? "ok" : "not ok: " + problems) << "\n";
    }
    return problems.empty() ? kDone : kNo;
  }
  PrintOne(cli, cluster, cluster.name(), [&] { PrintStatus(cli, cluster, nodes); });
  return kDone;
}

int RunVersion(Cli& cli, const VersionOptions& options) {
  if (options.client_only) {
    cli.out() << fmt::format("banyan {}\n", Version());
    return kDone;
  }
  v1::GetServerInfoResponse info;
  auto error = cli.session().Invoke<v1::Cluster>(&v1::Cluster::Stub::GetServerInfo,
                                                 v1::GetServerInfoRequest(), &info, client::kSafe);
  if (error.ok()) {
    return PrintOne(cli, info, info.version(), [&] {
      Facts facts;
      facts.Add("Client", std::string(Version()));
      facts.Add("Server", fmt::format("{} {}", info.version(), info.build()));
      facts.Add("Node", info.node());
      facts.Add("Cluster", fmt::format("{} ({})", info.cluster_name(), info.cluster_id()));
      facts.Add("API", fmt::format("{}", fmt::join(info.api_packages(), ", ")));
      facts.Add("Features", fmt::format("{}", fmt::join(info.features(), ", ")));
      facts.Print(cli);
    });
  }
  if (!cli.structured()) cli.out() << fmt::format("Client  {}\n", Version());
  return cli.Fail(error);
}

}  // namespace banyan::cli
